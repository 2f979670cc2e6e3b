"""Who waits for whom among the tasks of an event loop, on every livekit-agents release from 1.2.0 to 2.0.0b1.

The graph is read from the live tasks: what asyncio says a task waits for, the callbacks by which one future resolves
another, and the few waits of livekit-agents that asyncio knows nothing of (a speech handle, a drain). A wait that is
not explained by these ends by itself, as far as anybody can tell from here: a socket, a thread, an ``asyncio.Event``,
the user's next word. So does one that a timer can end: a sleep, a time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CellType, FrameType, MethodType
from typing import Any

from livekit.agents.voice.agent import AgentTask, _get_activity_task_info
from livekit.agents.voice.agent_activity import AgentActivity
from livekit.agents.voice.speech_handle import SpeechHandle

from ._frames import function_of, suspended

Future = asyncio.Future[Any]
Task = asyncio.Task[Any]


# what the callback of a timer acts on -> its attributes that hold what is resolved or cancelled then
_ENDED_BY_TIMERS = {
    "SpeechHandle": ("_done_fut", "_tasks"),  # to be given up after an interruption
    "Timeout": ("_task",),  # asyncio's, and async_timeout's
    "CancelScope": ("_host_task", "_tasks"),  # anyio's
}


@dataclass(frozen=True)
class Wait:
    """What a future waits for: all of ``awaited``, or any of them; through ``lock``, which ``awaited`` holds."""

    awaited: Sequence[Future]
    any_is_enough: bool = False
    lock: asyncio.Lock | None = None

    def is_stuck(self, stuck: Iterable[Future]) -> bool:
        """Say whether it goes on for ever where the futures in ``stuck`` are never done."""
        are_stuck = (future in stuck for future in self.awaited)
        return all(are_stuck) if self.any_is_enough else any(are_stuck)


class Graph:
    """Who waits for whom in an event loop, as it is at this moment; to be made and used in a callback of that loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tasks = asyncio.all_tasks(loop)
        self._frames: dict[Task, list[FrameType]] = {}
        infos = filter(None, map(_get_activity_task_info, self.tasks))
        self.replies = {info.speech_handle._done_fut: info.speech_handle for info in infos if info.speech_handle}
        self._resolved_by: dict[Future, list[Future]] = {}
        self._needs_all: set[Future] = set()
        self._passes_cancel_on: set[Future] = set()
        self._read_callbacks([*self.tasks, *self.replies])
        self._timed = self._reached_by_callbacks(loop)

    def frames(self, task: Task) -> list[FrameType]:
        """Return the frames that a task is suspended in, outermost first."""
        if task not in self._frames:
            self._frames[task] = [frame for _, frame in suspended(task)]
        return self._frames[task]

    def reply(self, future: Future) -> SpeechHandle | None:
        """Return the speech handle that is done when this future is, or None."""
        return self.replies.get(future)

    def wait(self, future: Future) -> Wait | None:
        """Return what a future waits for, or None where it may end by itself."""
        if future.done() or future in self._timed:
            return None
        if isinstance(future, asyncio.Task):
            return self._wait_of_task(future)
        if future in self.replies:
            return _wait_for_all(self.replies[future]._tasks)
        if hasattr(future, "_children"):  # of asyncio.gather()
            return _wait_for_all(future._children)
        resolved_by = self._resolved_by.get(future)
        return Wait(resolved_by, any_is_enough=future not in self._needs_all) if resolved_by else None

    def is_timed(self, future: Future) -> bool:
        """Say whether a timer may resolve or cancel a future."""
        return future in self._timed

    def stuck(self, starts: Iterable[Future]) -> dict[Future, Wait]:
        """Return the futures that only each other could resolve, of ``starts`` and all that these wait for."""
        waits: dict[Future, Wait] = {}
        to_do = list(starts)
        while to_do:
            future = to_do.pop()
            wait = None if future in waits else self.wait(future)
            if wait:
                waits[future] = wait
                to_do += wait.awaited
        free: Iterable[Future] = ()
        while True:
            for future in free:
                waits.pop(future, None)
            free = [future for future, wait in waits.items() if not wait.is_stuck(waits)]
            free = free or (self._cancelled_after_a_sleep & waits.keys() if waits else ())
            if not free:
                return waits

    def path(self, start: Future, goal: Future, stuck: Mapping[Future, Wait]) -> list[Future]:
        """Return a shortest way from ``start`` to ``goal`` among stuck futures, both included; [] if there is none."""
        reached_from: dict[Future, Future | None] = {start: None}
        to_do = deque([start])
        while to_do:
            future: Future | None = to_do.popleft()
            if future is goal:
                path = []
                while future is not None:
                    path.append(future)
                    future = reached_from[future]
                return path[::-1]
            assert future is not None
            for awaited in stuck[future].awaited:
                if awaited in stuck and awaited not in reached_from:
                    reached_from[awaited] = future
                    to_do.append(awaited)
        return []

    def reachable(
        self, starts: Iterable[Future], stuck: Mapping[Future, Wait], *, without: Future | None = None
    ) -> list[Future]:
        """Return ``starts`` and the stuck futures that they wait for, on ways that do not go through ``without``."""
        reached = dict.fromkeys(starts)
        to_do = list(reached)
        for future in to_do:
            new = [awaited for awaited in stuck[future].awaited if awaited in stuck and awaited not in reached]
            new = [awaited for awaited in new if awaited is not without]
            reached.update(dict.fromkeys(new))
            to_do += new
        return to_do

    def circle(self, future: Future, stuck: Mapping[Future, Wait]) -> list[Future]:
        """Return a shortest circle that a stuck future is on, beginning with it; [] where it is on none."""
        paths = (self.path(awaited, future, stuck) for awaited in stuck[future].awaited if awaited in stuck)
        shortest = min(filter(None, paths), key=len, default=None)
        return [future, *shortest[:-1]] if shortest else []

    def _wait_of_task(self, task: Task) -> Wait | None:
        future: Future | None = task._fut_waiter  # type: ignore[attr-defined]
        if future is None or future.done() or future in self._timed:
            return None
        frames = self.frames(task)
        function = function_of(frames[-1]) if frames else ""
        if function == "asyncio.tasks._wait":  # of asyncio.wait()
            asked = frames[-1].f_locals
            if asked["return_when"] == asyncio.FIRST_COMPLETED:
                return Wait(list(asked["fs"]), any_is_enough=True)
            return _wait_for_all(asked["fs"])
        if function == "asyncio.locks.acquire":
            lock = self._lock_waited_for(task)
            return Wait([self._holders[lock]], lock=lock) if lock in self._holders else None
        if function == "asyncio.locks.wait":  # of an asyncio.Event
            return self._wait_for_event(frames[-2]) if len(frames) > 1 else None
        if function == "livekit.agents.voice.tool_executor.execute":  # for what the tool's own task sets
            tool: Task | None = frames[-1].f_locals.get("exe_task")
            return Wait([tool]) if tool else None
        return Wait([future])

    def _wait_for_event(self, caller: FrameType) -> Wait | None:
        """Return what the caller of ``Event.wait()`` waits for, where that is one of livekit-agents' own functions."""
        function = function_of(caller)
        if function == "livekit.agents.voice.agent_activity._scheduling_task":
            activity: AgentActivity = caller.f_locals["self"]
            if activity._scheduling_paused and not activity._q_updated.is_set():
                return _wait_for_all(drained(activity))
        elif function == "livekit.agents.voice.agent._wait_for_inactive":
            agent_task = caller.f_locals["self"]
            return _wait_for_all([task for task in self.tasks if self.awaited_agent_task(task) is agent_task])
        return None

    def awaited_agent_task(self, task: Task) -> AgentTask[Any] | None:
        """Return the AgentTask that a task awaits, or None."""
        info = _get_activity_task_info(task)
        if info and info.inline_task:
            for frame in reversed(self.frames(task)):
                if function_of(frame) == "livekit.agents.voice.agent.__await_impl":
                    awaited: AgentTask[Any] = frame.f_locals["self"]
                    return awaited
        return None

    @functools.cached_property
    def _cancelled_after_a_sleep(self) -> set[Future]:
        """The tasks that another task, which sleeps at the moment, holds in a function that cancels something."""
        found: set[Future] = set()
        for task in self.tasks:
            if task._fut_waiter in self._timed:  # type: ignore[attr-defined]
                *callers, (_, frame) = suspended(task)
                if function_of(frame) == "asyncio.tasks.sleep":
                    for caller, frame in callers:
                        if "cancel" in frame.f_code.co_names:
                            held = _contents(gc.get_referents(caller, frame))
                            found.update(thing for thing in held if isinstance(thing, asyncio.Task))
        return found

    @functools.cached_property
    def _holders(self) -> dict[asyncio.Lock, Task]:
        """The tasks that are in the block of an ``async with`` of a lock."""
        holders = {}
        for task in self.tasks:
            for awaited, frame in suspended(task):
                # the block's way out is on the stack; before Python 3.11, the frame has the stack and not the coroutine
                for held in gc.get_referents(awaited, frame):
                    if isinstance(held, MethodType) and held.__name__ == "__aexit__":
                        lock = held.__self__
                        if isinstance(lock, asyncio.Lock) and lock is not self._lock_waited_for(task):
                            holders[lock] = task
        return holders

    def _lock_waited_for(self, task: Task) -> Any:
        """Return the lock, or semaphore, that a task waits for, or None."""
        frames = self.frames(task)
        if frames and function_of(frames[-1]) == "asyncio.locks.acquire":
            return frames[-1].f_locals["self"]
        return None

    def _read_callbacks(self, futures: Iterable[Future]) -> None:
        """Find out which futures are resolved by the callbacks of these, and by the callbacks of those in turn."""
        to_do, seen = deque(futures), set(futures)
        while to_do:
            future = to_do.popleft()
            for callback in self._callbacks(future):
                name, module = _origin(callback)
                # a callback of the user's may be one of several that resolve a future; with these it is the only one
                if name == "_outer_done_callback" or module not in ("asyncio", "anyio", "livekit"):
                    continue
                for held in _held(callback):
                    for resolved in _resolved_through(held):
                        self._resolved_by.setdefault(resolved, []).append(future)
                        if type(held).__name__ == "TaskGroup":
                            self._needs_all.add(resolved)
                        if name == "_release_waiter":  # of asyncio.wait_for()
                            self._passes_cancel_on.add(resolved)
                        if resolved not in seen:
                            seen.add(resolved)
                            to_do.append(resolved)

    def _callbacks(self, future: Future) -> list[Any]:
        callbacks: list[Any] = [callback for callback, _ in future._callbacks or ()]
        if future in self.replies:  # has callbacks of its own, which one of the future's calls
            callbacks += self.replies[future]._done_callbacks
        return callbacks

    def _reached_by_callbacks(self, loop: asyncio.AbstractEventLoop) -> set[Future]:
        """Return the futures that a timer may resolve or cancel, with those that are cancelled when they are.

        A timer that is due is none any more, but one of the callbacks that the loop will call next.
        """
        reached: set[Future] = set()
        to_do = list(_about_to_be_called(loop))
        while to_do:
            held = to_do.pop()
            if isinstance(held, asyncio.Future):
                if held not in reached:
                    reached.add(held)
                    to_do.append(getattr(held, "_fut_waiter", None))
                    to_do += getattr(held, "_children", ())
                    to_do += self._resolved_by[held] if held in self._passes_cancel_on else ()
            elif type(held).__name__ in _ENDED_BY_TIMERS:
                for attribute in _ENDED_BY_TIMERS[type(held).__name__]:
                    value = getattr(held, attribute, None)
                    to_do += value if isinstance(value, (list, set)) else [value]
            elif held is not None:
                to_do += _resolved_through(held)
        return reached


def drained(activity: AgentActivity) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, as its ``_scheduling_task()`` works them out."""
    blocked = activity._drain_blocked_tasks
    infos = filter(None, map(_get_activity_task_info, blocked))
    handles = [info.speech_handle for info in infos if info.speech_handle]

    def is_blocked(task: Task) -> bool:
        info = _get_activity_task_info(task)
        return task in blocked or (info is not None and info.speech_handle in handles)

    return [task for task in activity._speech_tasks if not is_blocked(task)]


def _resolved_through(held: Any) -> Iterator[Future]:
    """Yield the futures that a callback resolves which holds this."""
    if type(held).__name__ == "TaskGroup":  # asyncio's, and anyio's
        held = held._on_completed_fut
    elif type(held).__name__ == "_AsCompletedIterator":  # from Python 3.13 on; before, it is the queue that is held
        held = held._done
    for future in vars(held)["_getters"] if isinstance(held, asyncio.Queue) else (held,):
        if isinstance(future, asyncio.Future) and not isinstance(future, asyncio.Task):
            yield future


def _about_to_be_called(loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Yield what the callbacks act on that an event loop has a timer for, or will call next."""
    timers = getattr(loop, "_scheduled", None)
    if timers is not None:
        for handle in (*timers, *loop._ready):  # type: ignore[attr-defined]
            if not handle.cancelled():
                yield from handle._args or ()
                yield from _held(handle._callback)
        return
    # uvloop lets only the garbage collector see them, and what they call
    groups = (thing for thing in gc.get_referents(loop) if isinstance(thing, (set, deque)))
    for handle in (thing for group in groups for thing in group if type(thing).__name__ in ("Handle", "TimerHandle")):
        for referent in gc.get_referents(handle):
            yield from referent if isinstance(referent, tuple) else _held(referent)


def _wait_for_all(futures: Iterable[Future]) -> Wait | None:
    not_done = [future for future in futures if not future.done()]
    return Wait(not_done) if not_done else None


def _origin(callback: Any) -> tuple[str, str]:
    """Return the name of a callback's function, and the package that it comes from."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    return getattr(callback, "__name__", ""), (getattr(callback, "__module__", None) or "").partition(".")[0]


def _held(callback: Any) -> list[Any]:
    """Return what a callback acts on: what it is bound to, has closed over, or is given."""
    held: list[Any] = []
    while isinstance(callback, functools.partial):
        held += callback.args
        callback = callback.func
    held += _contents(getattr(callback, "__closure__", None) or ())
    bound_to = getattr(callback, "__self__", None)
    return held if bound_to is None else [*held, bound_to]


def _contents(things: Iterable[Any]) -> Iterator[Any]:
    """Yield things, and of the cells of closures what is in them."""
    for thing in things:
        if isinstance(thing, CellType):
            with contextlib.suppress(ValueError):  # it is empty
                yield thing.cell_contents
        else:
            yield thing
