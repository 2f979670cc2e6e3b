"""Read what a task is suspended in: the coroutines and generators from its outermost function to its innermost.

Only the interpreter's own kinds are followed. An awaitable of the user's ends the walk, because nothing of it is read.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from operator import attrgetter
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

Task = asyncio.Task[Any]

# Where each kind has its frame, and what it awaits. By identity, because even the hash of a class may be the user's.
_KINDS = {
    id(CoroutineType): attrgetter("cr_frame", "cr_await"),
    id(GeneratorType): attrgetter("gi_frame", "gi_yieldfrom"),
    id(AsyncGeneratorType): attrgetter("ag_frame", "ag_await"),
}
# They stand for one of these, which only the garbage collector can tell.
_ITERATORS = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable")
_AWAIT_OF_A_FUTURE = asyncio.futures._PyFuture.__await__.__code__  # type: ignore[attr-defined]
_TPFLAGS_HEAPTYPE = 1 << 9  # set on each class that a class statement has made
_flags_of = type.__dict__["__flags__"].__get__
name_of = type.__dict__["__name__"].__get__  # of a class, whose own class may be the user's


class Suspended(NamedTuple):
    """A coroutine or generator that is suspended, with its frame, and what it awaits."""

    awaitable: Any
    frame: FrameType
    awaited: Any

    @property
    def function(self) -> str:
        """Return the module and the name of its function."""
        module = dict.get(self.frame.f_globals, "__name__")
        return f"{module if type(module) is str else ''}.{self.frame.f_code.co_name}"

    @property
    def variables(self) -> dict[str, Any]:
        """Return its variables, which may be read where the function is a library's."""
        return self.frame.f_locals


def stack(task: Task) -> list[Suspended]:
    """Return what a task is suspended in, outermost first; nothing for what is no task or can't be read."""
    frames: list[Suspended] = []
    try:
        awaitable: Any = asyncio.Task.get_coro(task)  # the task's class may be the user's
    except Exception:  # it is no task of this asyncio's
        return frames
    while awaitable is not None:
        frame_and_awaited = _KINDS.get(id(type(awaitable)))
        if frame_and_awaited:
            frame, awaited = frame_and_awaited(awaitable)
            if frame is not None and frame.f_code is not _AWAIT_OF_A_FUTURE:
                frames.append(Suspended(awaitable, frame, awaited))
            awaitable = awaited
        elif is_builtin(awaitable, _ITERATORS):
            referents = gc.get_referents(awaitable)
            awaitable = next(
                (each for each in referents if id(type(each)) in _KINDS or is_builtin(each, _ITERATORS)), None
            )
        else:
            break
    return frames


def is_builtin(thing: Any, names: Sequence[str]) -> bool:
    """Return whether something is of one of the interpreter's own kinds, by name."""
    kind = type(thing)  # its name may be asked for where it is the interpreter's own
    return not _flags_of(kind) & _TPFLAGS_HEAPTYPE and kind.__name__ in names
