"""What a task is suspended in: the coroutines and generators from its outermost function to its innermost.

Only the interpreter's own kinds are followed: an awaitable of the user's ends the walk, since nothing of it is read.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

_SUSPENDABLE = (CoroutineType, GeneratorType, AsyncGeneratorType)
# They stand for one of these, and do not say for which.
_ITERATORS = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable")
_MADE_BY_A_CLASS_STATEMENT = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_flags_of = type.__dict__["__flags__"].__get__


class Suspended(NamedTuple):
    """A coroutine or generator that is suspended, with its frame."""

    awaitable: Any
    frame: FrameType


def stack(task: asyncio.Task[Any]) -> list[Suspended]:
    """Return what a task is suspended in, outermost first."""
    found = []
    awaitable: Any = asyncio.Task.get_coro(task)  # the task's class may be the user's
    while awaitable is not None:
        kind, frame = type(awaitable), None
        if kind is CoroutineType:
            frame, following = awaitable.cr_frame, awaitable.cr_await
        elif kind is GeneratorType:
            frame, following = awaitable.gi_frame, awaitable.gi_yieldfrom
        elif kind is AsyncGeneratorType:
            frame, following = awaitable.ag_frame, awaitable.ag_await
        elif is_builtin(awaitable, _ITERATORS):
            following = next(filter(_is_followed, gc.get_referents(awaitable)), None)
        else:
            break
        if frame is not None:
            found.append(Suspended(awaitable, frame))
        awaitable = following
    if found and function_of(found[-1].frame) == "asyncio.futures.__await__":  # of a future that is written in Python
        found.pop()
    return found


def is_builtin(thing: Any, names: Sequence[str]) -> bool:
    """Say whether something is of one of the interpreter's own kinds, by name."""
    kind = type(thing)  # its name may be asked for where it is the interpreter's own
    return not _flags_of(kind) & _MADE_BY_A_CLASS_STATEMENT and kind.__name__ in names


def _is_followed(held: Any) -> bool:
    return any(type(held) is kind for kind in _SUSPENDABLE) or is_builtin(held, _ITERATORS)


def function_of(frame: FrameType) -> str:
    """Return the function that a frame is of: its module and its name."""
    module = dict.get(frame.f_globals, "__name__")
    return f"{module if type(module) is str else ''}.{frame.f_code.co_name}"
