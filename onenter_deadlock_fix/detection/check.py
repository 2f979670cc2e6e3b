"""A change that takes its time: whether it is deadlocked, and what the drains that it waits for can let go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from . import graph
from .describe import Names, Waiter
from .library import CHANGES, VOICE
from .livekit_edges import (
    GIVEN_UP,
    PLAYED,
    UNREACHED,
    LivekitEdges,
    drained,
    generations,
    is_queued,
    speech_handle,
)
from .stack import Task

_AT_WORK = ("tool", "reply", "say", "user turn", "on_user_turn_completed", "task")


class LetGo(NamedTuple):
    """What a drain can let go: the waits of its change that end by that, and the names of whom it still waits for."""

    waits: list[Waiter]
    remaining: list[str]
    activity: Any
    speech_tasks: list[Task]
    handles: list[Any]  # of the speech tasks; ``on_enter`` and ``on_exit`` have none

    def __call__(self) -> None:
        """Let go: the drain works out anew whom it waits for, and a generation that it waits for counts as said."""
        activity = self.activity
        blocked = activity._drain_blocked_tasks  # a list on older releases, which is the caller's
        activity._drain_blocked_tasks = type(blocked)([*blocked, *self.speech_tasks])
        speaking = activity._current_speech
        if speaking is not None and (speaking.done() or any(task in self.speech_tasks for task in speaking._tasks)):
            for generation in generations(speaking):
                if not generation.done():
                    generation.set_result(None)
        activity._wake_up_scheduling_task()

    def interrupt_dropped(self) -> None:
        """Interrupt what was let go and can't be said any more, as livekit-agents does itself from 1.4.3 on.

        What a speech says after its tool is dropped while its activity is paused, and nobody authorizes it later.
        """
        for handle in self.handles:
            is_waiting = handle._scheduled_fut.done() and handle._authorize_event._waiters
            if is_waiting and not is_queued(self.activity, handle) and self.activity._current_speech is not handle:
                handle._cancel()


class Deadlock(NamedTuple):
    """What keeps a change from ever completing. ``key`` is the same in each look, from whichever change it is found."""

    key: Hashable
    change: Waiter
    is_on_it: bool

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Where several changes lead to it, the least rank is told: of a tool first, and then one on the cycle."""
        return self.change.role not in ("handoff", "AgentTask"), not self.is_on_it, self.change.name


class Look:
    """One look at all tasks of an event loop, or at those that are due; to be used in a callback of that loop."""

    def __init__(self, tasks: set[Task], due: Iterable[Task] | None = None) -> None:
        self.edges = LivekitEdges(tasks)
        self.names = Names(self.edges)
        self._waits = graph.reachable(tasks if due is None else due, self.edges.wait)
        self._deadlocked = graph.deadlocked(self._waits)

    def deadlock(self, task: Task) -> Deadlock | None:
        """Return the deadlock that keeps a task from completing, or None where it merely takes its time."""
        if task not in self._deadlocked:
            return None
        core = graph.core(task, self._deadlocked)
        known = [one for one in core if one in self.edges.tasks or one in self.edges.handles]
        # with where in the library they wait: a task that was deadlocked may be so once more, in another change
        key = frozenset((id(one), *self.edges.functions(one)) for one in known)
        return Deadlock(key, self.names.change(task), task in core and bool(self._waits[task].awaited))

    def told(self, task: Task, *, is_on_it: bool) -> tuple[str, list[Waiter]]:
        """Say of a deadlocked task whether it waits for itself, and then who waits for whom."""
        waiters = self.names.waits(task, self._way(task))  # first, since what is called alike is known by that
        whom = "itself" if is_on_it else "what can never complete"
        return f"{self.names.change(task).name} waits for {whom}", waiters

    def can_let_go(self, task: Task) -> list[LetGo]:
        """Return what the drains can let go that a deadlocked task waits for, or is in.

        In a handoff to an AgentTask or back those are the speech tasks that wait for it, and in any drain those of a
        speech that nothing can complete, since nobody can miss it. Nothing is let go that waits for the session's lock:
        before 1.7.1 the AgentTask of the handoff that comes second would make the first one's get lost.
        """
        found = []
        for node in self._way(task):
            for one in self.edges.stack(node):
                with contextlib.suppress(Exception):  # what can't be read is not let go
                    if one.function == f"{VOICE}agent_activity._pause_scheduling_task":
                        found.append(self._let_go(node, one.variables["self"]))
        return [one for one in found if one.waits]

    def is_run(self, task: Task) -> bool:
        """Say whether a task waits for ``session.run()``, or for ``session.start(capture_run=True)``."""
        return f"{VOICE}run_result._await_impl" in self.edges.functions(task)

    def slow(self, task: Task) -> list[Waiter]:
        """Return whom a task waits for; nobody where that may take as long as it likes.

        So may ``session.run()`` while something of the user's or a model is at work, an AgentTask while the user may
        turn to it, and ``on_enter``.
        """
        if self.is_run(task):
            waits = graph.reachable(self.edges.infos, self.edges.wait)
            under_way = (one for speech in self.edges.infos for one in self.names.waits(speech, waits))
            at_work = (one for one in under_way if one.role in _AT_WORK and one.reason in ("", PLAYED, GIVEN_UP))
            is_told = all(one.waits_for for one in at_work)
        else:
            is_change = not CHANGES.isdisjoint(self.edges.functions(task))
            is_told = is_change or self._waits[task].reason.endswith(UNREACHED)
        return self.names.waits(task, self._waits) if is_told else []

    def cycle(self) -> list[str]:
        """Return who waits for whom in the smallest deadlock, or nothing where there is none."""
        tasks = (task for task in self.edges.tasks if task in self._deadlocked)
        told = (list(map(str, self.names.waits(task, self._way(task)))) for task in tasks)
        return min(told, key=lambda lines: (len(lines), lines), default=[])

    def _way(self, task: Task) -> dict[Any, graph.Wait]:
        return graph.reachable([task], self._deadlocked.get)

    def _let_go(self, task: Task, activity: Any) -> LetGo:
        awaited, speaking, lock = drained(activity), activity._current_speech, activity.session._activity_lock
        speech_tasks = [each for each in awaited if self._can_let_go(task, each, lock)]
        let_go = [self.names.own(each) for each in speech_tasks]
        if speaking is not None and speaking.done():
            let_go.append(self.names.speech(speaking))
        waits = [self.names.change(task)._replace(waits_for=name, places=()) for name in dict.fromkeys(let_go)]
        remaining = dict.fromkeys(self.names.own(each) for each in awaited if each not in speech_tasks)
        handles = [handle for each in speech_tasks if (handle := speech_handle(each)) is not None]
        return LetGo(waits, list(remaining), activity, speech_tasks, handles)

    def _can_let_go(self, task: Task, speech_task: Task, lock: asyncio.Lock) -> bool:
        """Say whether the drain that a task waits in can let go a speech task."""
        way = self._way(speech_task)
        if any(wait.lock is lock for wait in way.values()):
            return False
        handle = speech_handle(speech_task)
        is_never_scheduled = handle is not None and handle._scheduled_fut in way
        return is_never_scheduled or (task in way and self.edges.agent_task(task) is not None)
