"""Who waits for whom among the tasks of an event loop, on every livekit-agents release from 1.2.0 to 2.0.0b1.

The graph is read from the live tasks: what asyncio says a task waits for, the callbacks by which one future resolves
another, and the few waits of livekit-agents that asyncio knows nothing of (a speech handle, a drain). A wait that is
not explained by these ends by itself, as far as anybody can tell from here: a socket, a thread, an ``asyncio.Event``,
the user's next word. So does one that a timer can end: a sleep, a time-out. And so does one that somebody may cancel
who is free to do so: a task that holds what it cancels, or another one of the same task group, by its error.
"""

from __future__ import annotations

import asyncio
import functools
import gc
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import FrameType
from typing import Any

from livekit.agents.voice.agent import AgentTask, _get_activity_task_info
from livekit.agents.voice.agent_activity import AgentActivity
from livekit.agents.voice.speech_handle import SpeechHandle

from .callbacks import (
    TASK_GROUPS,
    about_to_be_called,
    cancelled_in,
    cancels,
    entered,
    held_by,
    is_given,
    is_the_users,
    kind_of,
    origin,
    resolved_through,
    shows_timers,
)
from .stack import function_of, suspended

Future = asyncio.Future[Any]
Task = asyncio.Task[Any]
Cancellation = tuple[Iterable[Task], AbstractSet[Future]]  # by any of these tasks, of all these futures


# what is ended as a whole, by a timer or a cancellation -> its attributes that hold what is resolved or cancelled then
_ENDED_AS_A_WHOLE = {
    "livekit.agents.voice.speech_handle.SpeechHandle": ("_done_fut", "_tasks"),  # given up after an interruption
    "asyncio.timeouts.Timeout": ("_task",),
    "async_timeout.Timeout": ("_task",),
    "anyio._backends._asyncio.CancelScope": ("_host_task", "_tasks"),
}


@dataclass(frozen=True)
class Wait:
    """What a future waits for: all of ``awaited``, or any of them; through ``lock``, which ``awaited`` holds.

    Any is enough where it is the first one to be done that ends the wait, or the first one to fail.
    """

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
        self._task_groups: set[Any] = set()
        self._read_callbacks([*self.tasks, *self.replies])
        self._shows_timers = shows_timers(loop)
        self._timed = self._ended_with(about_to_be_called(loop))

    def frames(self, task: Task) -> list[FrameType]:
        """Return the frames that a task is suspended in, outermost first."""
        if task not in self._frames:
            self._frames[task] = [frame for _, frame in suspended(task)]
        return self._frames[task]

    def reply(self, future: Future) -> SpeechHandle | None:
        """Return the speech handle that is done when this future is, or None."""
        return self.replies.get(future)

    def wait(self, future: Future) -> Wait | None:
        """Return what a future waits for, as far as that is known, or None. A timer may end it all the same."""
        if future.done():
            return None
        if isinstance(future, asyncio.Task):
            return self._wait_of_task(future)
        if future in self.replies:
            return _wait_for(self.replies[future]._tasks)
        children: Any = getattr(future, "_children", None)  # of asyncio.gather(), which may be any futures
        return _wait_for(children or self._resolved_by.get(future, ()), any_is_enough=future not in self._needs_all)

    def is_timed(self, future: Future) -> bool:
        """Say whether a timer may resolve or cancel a future, or what a task is suspended in."""
        return future in self._timed or getattr(future, "_fut_waiter", None) in self._timed

    def stuck(self, starts: Iterable[Future]) -> dict[Future, Wait]:
        """Return the futures that only each other could resolve or cancel: of ``starts`` and all that these wait for.

        None in an event loop whose timers can't be read.
        """
        if not self._shows_timers:
            return {}
        stuck = self._waits(starts)
        _leave_out_free(stuck, ())
        if stuck:  # so far; who might cancel something is looked for only now
            stuck = self._waits([*stuck, *(task for tasks, _ in self._cancellations for task in tasks)])
            _leave_out_free(stuck, self._cancellations)
        return stuck

    def _waits(self, starts: Iterable[Future]) -> dict[Future, Wait]:
        """Return what ``starts`` wait for, and all that these wait for in turn, but for what a timer may end."""
        waits: dict[Future, Wait] = {}
        to_do = list(starts)
        while to_do:
            future = to_do.pop()
            wait = None if future in waits or self.is_timed(future) else self.wait(future)
            if wait:
                waits[future] = wait
                to_do += wait.awaited
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
        if future is None or future.done():
            return None
        frames = self.frames(task)
        function = function_of(frames[-1]) if frames else ""
        if function == "asyncio.tasks._wait":  # of asyncio.wait()
            asked = frames[-1].f_locals
            return _wait_for(asked["fs"], any_is_enough=asked["return_when"] != asyncio.ALL_COMPLETED)
        if function == "asyncio.locks.acquire":
            lock = self._lock_waited_for(task)
            holders = self._holders.get(lock)
            return Wait(holders, any_is_enough=True, lock=lock) if holders else None
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
                return _wait_for(drained(activity))
        elif function == "livekit.agents.voice.agent._wait_for_inactive":
            agent_task = caller.f_locals["self"]
            return _wait_for([task for task in self.tasks if self.awaited_agent_task(task) is agent_task])
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
    def _cancellations(self) -> list[Cancellation]:
        """Whom the tasks may cancel: the other ones of their group, and what they hold in a function that cancels."""
        found: list[Cancellation] = []
        for group in self._task_groups:
            host = getattr(group, "_parent_task", None) or group.cancel_scope._host_task
            members = [task for task in (host, *group._tasks) if task is not None]
            found.append((members, set(members)))
        for task in self.tasks:
            for awaited, frame in suspended(task):
                if is_the_users(frame):
                    wait = self.wait(task) if cancels(frame.f_code) else None
                    cancelled = self._ended_with(cancelled_in(awaited, frame, wait.awaited if wait else ()))
                    found += [([task], cancelled)] if cancelled else []
        return found

    @functools.cached_property
    def _holders(self) -> dict[Any, list[Task]]:
        """The tasks that are in the block of an ``async with`` of a lock."""
        holders: dict[Any, list[Task]] = {}
        for task in self.tasks:
            for awaited, frame in suspended(task):
                # the block's way out is on the stack; before Python 3.11, the frame has the stack and not the coroutine
                for manager in entered(gc.get_referents(awaited, frame)):
                    lock = vars(manager)["_lock"] if isinstance(manager, asyncio.Condition) else manager
                    if isinstance(lock, asyncio.Lock) and lock is not self._lock_waited_for(task):
                        holders.setdefault(lock, []).append(task)
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
                name, module = origin(callback)
                # a callback of the user's may be one of several that resolve a future; with these it is the only one
                if name in ("_outer_done_callback", "put_nowait") or module not in ("asyncio", "anyio", "livekit"):
                    continue
                for held in held_by(callback):
                    if name in ("_on_task_done", "task_done") and kind_of(held) in TASK_GROUPS:
                        self._task_groups.add(held)
                    for resolved in resolved_through(held):
                        self._resolved_by.setdefault(resolved, []).append(future)
                        if resolved in seen:
                            continue
                        seen.add(resolved)
                        to_do.append(resolved)
                        if name == "_release_waiter":  # of asyncio.wait_for()
                            self._passes_cancel_on.add(resolved)
                        # of session.run() and of asyncio.gather()
                        elif name == "_mark_done_if_needed" or is_given(callback, "return_exceptions"):
                            self._needs_all.add(resolved)

    def _callbacks(self, future: Future) -> list[Any]:
        callbacks: list[Any] = [callback for callback, _ in future._callbacks or ()]
        if future in self.replies:  # has callbacks of its own, which one of the future's calls
            callbacks += self.replies[future]._done_callbacks
        return callbacks

    def _ended_with(self, things: Iterable[Any]) -> set[Future]:
        """Return the futures that are resolved or cancelled with these things, and what is cancelled with those."""
        ended: set[Future] = set()
        to_do = list(things)
        while to_do:
            thing = to_do.pop()
            if isinstance(thing, asyncio.Future):
                if thing not in ended:
                    ended.add(thing)
                    to_do.append(getattr(thing, "_fut_waiter", None))
                    to_do += getattr(thing, "_children", ())
                    to_do += self._resolved_by[thing] if thing in self._passes_cancel_on else ()
                continue
            if thing is None:
                continue
            for attribute in _ENDED_AS_A_WHOLE.get(kind_of(thing), ()):
                value = getattr(thing, attribute, None)
                to_do += value if isinstance(value, (list, set)) else [value]
            to_do += resolved_through(thing)
        return ended


def drained(activity: AgentActivity) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, as its ``_scheduling_task()`` works them out."""
    blocked = activity._drain_blocked_tasks
    infos = filter(None, map(_get_activity_task_info, blocked))
    handles = [info.speech_handle for info in infos if info.speech_handle]

    def is_blocked(task: Task) -> bool:
        info = _get_activity_task_info(task)
        return task in blocked or (info is not None and info.speech_handle in handles)

    return [task for task in activity._speech_tasks if not is_blocked(task)]


def _leave_out_free(waits: dict[Future, Wait], cancellations: Iterable[Cancellation]) -> None:
    """Take those out of ``waits`` that somebody could end who is not in it, and whom these could, and so on."""
    free: Iterable[Future] = ()
    while True:
        for future in free:
            waits.pop(future, None)
        free = [future for future, wait in waits.items() if not wait.is_stuck(waits)]
        if not free:
            cancelled = [futures for by, futures in cancellations if any(task not in waits for task in by)]
            free = waits.keys() & set().union(*cancelled)
        if not free:
            return


def _wait_for(futures: Iterable[Future], *, any_is_enough: bool = False) -> Wait | None:
    not_done = [future for future in futures if not future.done()]
    return Wait(not_done, any_is_enough) if not_done else None
