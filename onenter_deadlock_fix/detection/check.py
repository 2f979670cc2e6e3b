"""A change that takes its time: whether it is deadlocked, and what the drains that it waits for can let go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from . import graph
from .asyncio_edges import Task
from .describe import Name, Names, Waiter
from .library import CHANGES, VOICE
from .livekit_edges import GIVEN_UP, NO_TURN, PLAYED, UNREACHED, LivekitEdges, drained, generations, speech_handle
from .stack import stack

_AT_WORK = ("tool", "reply", "say", "user turn", "on_user_turn_completed", "task")


class LetGo(NamedTuple):
    """The speech tasks that the drain of a change can let go, and the names of what it lets go and of what remains.

    closes: whether the activity is closed after that drain, and not paused.
    """

    change: Name
    closes: bool
    activity: Any
    speech_tasks: list[Task]
    let_go: list[str]
    remaining: list[str]

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

    @property
    def handles(self) -> list[Any]:
        """Return the speeches that can be let go; ``on_enter`` and ``on_exit`` have none."""
        return [handle for task in self.speech_tasks if (handle := speech_handle(task)) is not None]

    def interrupt_dropped(self, tasks: Iterable[Task]) -> None:
        """Interrupt what was let go and can't be said any more, as livekit-agents does itself from 1.4.3 on.

        What a speech says after its tool is dropped while its activity is paused, and nobody authorizes it later.
        """
        function, activity = f"{VOICE}speech_handle._wait_for_authorization", self.activity
        waiting = [one.variables["self"] for task in tasks for one in stack(task)[-2:] if one.function == function]
        for handle in (one for one in waiting if one in self.handles and one._scheduled_fut.done()):
            is_queued = any(queued is handle for *_, queued in activity._speech_q)
            if not is_queued and activity._current_speech is not handle:
                handle._cancel()


class Deadlock(NamedTuple):
    """What keeps a change from ever completing. ``key`` is the same in each look, from whichever change it is found."""

    key: Hashable
    change: Name
    is_on_it: bool

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Where several changes lead to it, the least rank is told: of a tool first, and then one on the cycle."""
        return (self.change.role not in ("handoff", "AgentTask"), not self.is_on_it, self.change.text)


class Look:
    """One look at all tasks of an event loop, or at those that are due; to be used in a callback of that loop."""

    def __init__(self, tasks: set[Task], due: Iterable[Task] | None = None) -> None:
        self.edges = LivekitEdges(tasks)
        self.names = Names(self.edges)
        self._waits = self.edges.closure(tasks if due is None else due)
        self._deadlocked = graph.deadlocked(self._waits)

    def deadlock(self, task: Task) -> Deadlock | None:
        """Return the deadlock that keeps a task from completing, or None where it merely takes its time."""
        if task not in self._deadlocked:
            return None
        core = graph.core(task, self._waits, self._deadlocked)
        known = [one for one in core if one in self.edges.tasks or one in self.edges.handles]
        # with where in the library they wait: a task that was deadlocked may be so once more, in another change
        key = frozenset((id(one), *self.edges.functions(one)) for one in known)
        is_on_it = task in core and bool(self._waits[task].awaited)
        return Deadlock(key, self.names.of_change(task), is_on_it)

    def waiters(self, task: Task) -> list[Waiter]:
        """Return who waits for whom, from a task that is deadlocked on."""
        return self.names.waits(task, graph.reachable([task], self._waits, self._deadlocked))

    def can_let_go(self, task: Task) -> list[LetGo]:
        """Return what the drains can let go that a deadlocked task waits for, or is in.

        In a handoff to an AgentTask or back those are the speech tasks that wait for it, and in any drain those of a
        speech that nothing can complete, since nobody can miss it. Nothing is let go that waits for the session's lock:
        before 1.7.1 the AgentTask of the handoff that comes second would make the first one's get lost.
        """
        found = []
        for node in graph.reachable([task], self._waits, self._deadlocked):
            for one in self.edges.stack(node) if node in self.edges.tasks else ():
                with contextlib.suppress(Exception):  # what can't be read is not let go
                    if one.function == f"{VOICE}agent_activity._pause_scheduling_task":
                        found.append(self._let_go(node, one.variables["self"]))
        return [one for one in found if one.let_go]

    def is_run(self, task: Task) -> bool:
        """Say whether a task waits for ``session.run()``, or for ``session.start(capture_run=True)``."""
        return f"{VOICE}run_result._await_impl" in self.edges.functions(task)

    def slow(self, task: Task) -> list[Waiter]:
        """Return whom a task waits for; nobody where that may take as long as it likes.

        So may ``session.run()`` while something of the user's or a model is at work, an AgentTask while the user may
        turn to it, and ``on_enter``.
        """
        if self.is_run(task):
            under_way = (one for speech in self.edges.infos for one in self.names.waits(speech))
            at_work = (one for one in under_way if one.role in _AT_WORK and one.reason in ("", PLAYED, GIVEN_UP))
            if any(not one.waits_for for one in at_work):
                return []
            return [
                one._replace(reason=one.reason or NO_TURN) if one.role == "AgentTask" and not one.waits_for else one
                for one in self.names.waits(task)
            ]
        is_told = not CHANGES.isdisjoint(self.edges.functions(task)) or self.edges.wait(task).reason.endswith(UNREACHED)
        return self.names.waits(task) if is_told else []

    def cycle(self) -> list[str]:
        """Return who waits for whom in the smallest deadlock, or nothing where there is none."""
        told = (list(map(str, self.waiters(task))) for task in self.edges.tasks if task in self._deadlocked)
        return min(told, key=lambda lines: (len(lines), lines), default=[])

    def _let_go(self, task: Task, activity: Any) -> LetGo:
        awaited, speaking, lock = drained(activity), activity._current_speech, activity.session._activity_lock
        speech_tasks = [each for each in awaited if self._can_let_go(task, each, lock)]
        let_go = [self.names.of_task(each) for each in speech_tasks]
        if speaking is not None and speaking.done():
            let_go.append(self.names.of_speech(speaking).text)
        remaining = [self.names.of_task(each) for each in awaited if each not in speech_tasks]
        closes = f"{VOICE}agent_activity.drain" in self.edges.functions(task)
        return LetGo(self.names.of_change(task), closes, activity, speech_tasks, let_go, remaining)

    def _can_let_go(self, task: Task, speech_task: Task, lock: asyncio.Lock) -> bool:
        """Say whether the drain that a task waits in can let go a speech task."""
        way = graph.reachable([speech_task], self._waits, self._deadlocked)
        if any(self._waits[one].lock is lock for one in way):
            return False
        info = self.edges.infos.get(speech_task)
        is_never_scheduled = info and info.speech_handle and info.speech_handle._scheduled_fut in way
        return bool(is_never_scheduled or (task in way and self.edges.agent_task(task) is not None))
