"""Read the stack of a suspended task: its coroutines and generators, outermost first.

Only built-in types are followed. The walk ends at a user-defined awaitable, because reading it may run user code.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from operator import attrgetter
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

Task = asyncio.Task[Any]

# The attributes for the frame and for the awaited object. By id, because even the hash of a class may be user-defined.
_KINDS = {
    id(CoroutineType): attrgetter("cr_frame", "cr_await"),
    id(GeneratorType): attrgetter("gi_frame", "gi_yieldfrom"),
    id(AsyncGeneratorType): attrgetter("ag_frame", "ag_await"),
}
# These wrap one of the types above, which only the garbage collector gives access to.
_WRAPPERS = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable")
_AWAIT_OF_A_FUTURE = asyncio.futures._PyFuture.__await__.__code__  # type: ignore[attr-defined]
_TPFLAGS_HEAPTYPE = 1 << 9  # set on each class that a class statement has created
_flags_of = type.__dict__["__flags__"].__get__
name_of = type.__dict__["__name__"].__get__  # of a class, whose metaclass may be user-defined


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
        """Return its variables; read only those of library functions."""
        return self.frame.f_locals


def stack(task: Task) -> list[Suspended]:
    """Return what a task is suspended in, outermost first; [] if it is no task or can't be read."""
    frames: list[Suspended] = []
    try:
        awaitable: Any = asyncio.Task.get_coro(task)  # the task's class may be user-defined
    except Exception:  # it is not an asyncio task
        return frames
    while awaitable is not None:
        frame_and_awaited = _KINDS.get(id(type(awaitable)))
        if frame_and_awaited:
            frame, awaited = frame_and_awaited(awaitable)
            if frame is not None and frame.f_code is not _AWAIT_OF_A_FUTURE:
                frames.append(Suspended(awaitable, frame, awaited))
            awaitable = awaited
        elif is_builtin(awaitable, _WRAPPERS):
            referents = gc.get_referents(awaitable)
            awaitable = next(
                (other for other in referents if id(type(other)) in _KINDS or is_builtin(other, _WRAPPERS)), None
            )
        else:
            break
    return frames


def is_builtin(thing: Any, names: Sequence[str]) -> bool:
    """Return whether an object's type is a built-in type with one of these names."""
    kind = type(thing)  # a user-defined type could run code when its name is read
    return not _flags_of(kind) & _TPFLAGS_HEAPTYPE and kind.__name__ in names
