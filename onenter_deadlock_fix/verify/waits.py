"""Who waits for whom among the live tasks of an event loop, in livekit-agents' own terms.

What a task waits for is read from the frames it is suspended in, on the affected releases (1.2.0 to 1.3.5).
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from livekit.agents.voice.agent import _get_activity_task_info


@dataclass(frozen=True)
class Wait:
    """``waiter`` does not go on before ``awaited`` is done; both are named in plain words."""

    waiter: str
    awaited: str

    def __str__(self) -> str:
        return f"{self.waiter} waits for {self.awaited}"


def waits() -> list[Wait]:
    """Return who waits for whom in the running event loop."""
    return [wait for task in asyncio.all_tasks() for wait in _waits_of(task)]


def deadlock() -> list[Wait]:
    """Return the waits that close a circle, in order and from an on_enter on where one is in it; [] if none do."""
    known = sorted(waits(), key=lambda wait: not wait.waiter.startswith("on_enter"))
    for first in known:
        circle = _back_to(first.waiter, [first], known)
        if circle:
            return circle
    return []


def _back_to(start: str, path: list[Wait], known: list[Wait]) -> list[Wait]:
    if path[-1].awaited == start:
        return path
    for wait in known:
        if wait.waiter == path[-1].awaited and wait not in path:
            circle = _back_to(start, [*path, wait], known)
            if circle:
                return circle
    return []


def _waits_of(task: asyncio.Task[Any]) -> Iterator[Wait]:
    name = _name(task)
    info = _get_activity_task_info(task)
    if info and info.function_call and info.speech_handle:
        yield Wait(_reply(info.speech_handle), name)  # a speech handle is done when its tools are
    handoff = ""
    for frame in _frames(task):
        function: str = frame.f_code.co_name
        instance: Any = frame.f_locals.get("self")
        if function == "wait_for_playout":
            yield Wait(name, _reply(instance))
        elif function == "__await_impl":
            handoff = f"the hand-over to {type(instance).__name__}"
            yield Wait(name, handoff)
        elif function == "_pause_scheduling_task" and handoff:
            yield from (Wait(handoff, _name(speech_task)) for speech_task in _drained_by(instance._scheduling_atask))


def _drained_by(scheduling_task: asyncio.Task[Any]) -> list[asyncio.Task[Any]]:
    """Return the speech tasks that an activity's scheduling task still has to see done before it can pause."""
    for frame in _frames(scheduling_task):
        if "to_wait" in frame.f_locals:
            return list(frame.f_locals["to_wait"])
    return []


def _name(task: asyncio.Task[Any]) -> str:
    info = _get_activity_task_info(task)
    if info and info.function_call:
        return f"the tool {info.function_call.name}"
    if info and info.speech_handle:
        return _reply(info.speech_handle)
    for frame in _frames(task):
        if frame.f_code.co_name in ("on_enter", "on_exit"):
            return f"{frame.f_code.co_name} of {type(frame.f_locals['self']).__name__}"
    return task.get_name()


def _reply(speech_handle: Any) -> str:
    return f"the reply {speech_handle.id}"


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Yield the frames that a task is suspended in, outermost first."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        if inspect.iscoroutine(awaited):
            if awaited.cr_frame is not None:
                yield awaited.cr_frame
            awaited = awaited.cr_await
        elif type(awaited).__name__ == "coroutine_wrapper":  # what __await__ of a coroutine returns; opaque otherwise
            awaited = next(filter(inspect.iscoroutine, gc.get_referents(awaited)), None)
        else:
            return
