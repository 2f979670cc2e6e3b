"""What a task is suspended in, and the drain of livekit-agents that may be part of it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

_SUSPENDABLE = (CoroutineType, GeneratorType, AsyncGeneratorType)

# Where an activity waits for its speech tasks. _pause_scheduling_task() alone would not do: most releases wait for
# on_exit in drain() before they come to that, and aclose() waits for tools and speeches of its own.
_DRAINS = {
    f"livekit.agents.voice.agent_activity.{function}" for function in ("_pause_scheduling_task", "drain", "aclose")
}


def suspended(task: asyncio.Task[Any]) -> Iterator[tuple[Any, FrameType]]:
    """Yield the coroutines and generators that a task is suspended in, with their frames, outermost first."""
    awaited: Any = task.get_coro()
    passed: set[int] = set()
    while awaited is not None and id(awaited) not in passed:  # what stands for a coroutine may hold one that awaits it
        passed.add(id(awaited))
        frame: FrameType | None = None
        if isinstance(awaited, CoroutineType):
            frame, following = awaited.cr_frame, awaited.cr_await
        elif isinstance(awaited, GeneratorType):
            frame, following = awaited.gi_frame, awaited.gi_yieldfrom
        elif isinstance(awaited, AsyncGeneratorType):
            frame, following = awaited.ag_frame, awaited.ag_await
        else:
            following = _stands_for(awaited)
        if frame is not None:
            yield awaited, frame
        awaited = following


def _stands_for(awaited: Any) -> Any:
    """Return the coroutine or generator behind an iterator that does not say so, or None.

    Such an iterator is what ``__await__()`` of a coroutine returns, or ``__anext__()`` of a generator, or an object of
    the user's that holds one of these.
    """
    to_do = [awaited]
    for thing in to_do:
        for held in gc.get_referents(thing):
            if isinstance(held, _SUSPENDABLE):
                return held
            is_its_dict = type(held) is dict and thing is awaited
            if is_its_dict or type(held).__name__ == "coroutine_wrapper":
                to_do.append(held)
    return None


def function_of(frame: FrameType) -> str:
    """Return the function that a frame is of: its module and its name."""
    return f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"


def drain_of(task: asyncio.Task[Any]) -> Coroutine[Any, Any, Any] | None:
    """Return the drain that a task waits in, or None."""
    return next((awaited for awaited, frame in suspended(task) if function_of(frame) in _DRAINS), None)
