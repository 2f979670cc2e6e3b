"""Read all tasks of an event loop once: which changes of the agent are deadlocked, and who waits for whom."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import graph
from .labels import Label, Labels, WaitRecord
from .livekit_edges import UNREACHED, LivekitEdges
from .livekit_internals import CHANGE_FUNCTIONS, VOICE, WATCHED_FUNCTIONS
from .places import MAY_COMPLETE, user_lines
from .stack import Task

# Roles that may be at work while session.run() waits. Not on_enter(): it may be waiting for the user's turn.
_AT_WORK = ("tool", "reply", "say", "user turn", "on_user_turn_completed", "task")


class Deadlock(NamedTuple):
    """A deadlock, and the change that it blocks.

    nodes: the identities of the tasks and speeches that wait for each other, or can never complete. They are the same
        in each snapshot, as long as these wait for the same things.
    change: the label of the change that can't complete.
    is_on_cycle: whether the change waits for itself.
    """

    nodes: frozenset[Any]
    change: Label
    is_on_cycle: bool

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """The change with the lowest rank is reported; tools rank first, then changes on the cycle."""
        return self.change.role not in ("handoff", "AgentTask"), not self.is_on_cycle, self.change.text


class Snapshot:
    """All tasks of an event loop, and the waits of the due tasks. Create and use it in one callback of that loop."""

    def __init__(self, tasks: set[Task], due: Iterable[Task] | None = None) -> None:
        self.edges = LivekitEdges(tasks)
        self.labels = Labels(self.edges)
        self.waits = graph.reachable(tasks if due is None else due, self.edges.wait)
        self.deadlocked = graph.deadlocked(self.waits)

    def deadlock(self, task: Task) -> Deadlock | None:
        """Return the deadlock that keeps a task from completing, or None if it is merely slow."""
        if task not in self.deadlocked:
            return None
        cause = next(self._causes[node] for node in self.reachable_from(task) if node in self._causes)
        is_on_cycle = task in cause and bool(self.waits[task].awaited)
        return Deadlock(self._identify(cause), self.labels.change_label(task), is_on_cycle)

    def explain(self, task: Task) -> list[WaitRecord]:
        """Return who waits for whom in the deadlock that keeps a task from completing."""
        return self.labels.records([task], self.reachable_from(task))

    def explain_slow_wait(self, task: Task) -> list[WaitRecord]:
        """Return who waits for whom if a task is slow; [] if its wait may take any time.

        The latter are ``session.run()`` while user code or a model is at work, an AgentTask while a turn of the user
        can reach it, and ``on_enter()``.
        """
        if self.is_run(task):
            is_slow = not self._is_at_work()
        else:
            is_change = not CHANGE_FUNCTIONS.isdisjoint(self.edges.functions(task))
            is_slow = is_change or self.waits[task].reason.endswith(UNREACHED)
        return self._explain_from_users_line(task) if is_slow else []

    def is_run(self, task: Task) -> bool:
        """Return whether a task waits for ``session.run()``, or for ``session.start(capture_run=True)``."""
        return f"{VOICE}run_result._await_impl" in self.edges.functions(task)

    def cycle(self) -> list[str]:
        """Return who waits for whom in the smallest deadlock, or [] if there is none."""
        nodes = min(self._causes.values(), key=len, default=frozenset[Any]())
        tasks = sorted(nodes & self.edges.tasks, key=lambda task: self.labels.own_label(task).text)
        starts = tasks[:1] or nodes
        return list(map(str, self.labels.records(starts, graph.reachable(starts, self.deadlocked.get))))

    def reachable_from(self, task: Task) -> dict[Any, graph.Wait]:
        """Return the waits of a deadlocked task and of all deadlocked nodes that it waits for, the nearest first."""
        return graph.reachable([task], self.deadlocked.get)

    @functools.cached_property
    def _causes(self) -> dict[Any, frozenset[Any]]:
        return graph.causes(self.deadlocked)

    def _identify(self, nodes: Iterable[Any]) -> frozenset[Any]:
        """Return the identities of the tasks and speeches among nodes; a task's includes the changes that it executes.

        Futures and the tasks that ``wait_for()`` creates are left out: a tool that tries again creates new ones.
        """
        identities: set[Any] = set()
        for node in nodes:
            if node in self.edges.handles:
                identities.add(id(self.edges.handles[node]))
            elif node in self.edges.tasks and not self.edges.is_made_by_wait_for(node):
                changes = (frame.awaitable for frame in self.edges.stack(node) if frame.function in WATCHED_FUNCTIONS)
                identities.add((id(node), *map(id, changes)))
        return frozenset(identities)

    def _explain_from_users_line(self, task: Task) -> list[WaitRecord]:
        """Return who waits for whom. If library code awaits an AgentTask, begin with the task that awaits its agent."""
        waits, starts = dict(self.waits), [task]
        for start in starts:
            _, agent = self.edges.awaited_agent_tasks.get(start, (None, None))
            for outer, (awaited, _) in self.edges.awaited_agent_tasks.items():
                if awaited is agent and outer not in starts and not user_lines(self.edges.stack(start)):
                    waits[outer] = graph.Wait((start,))
                    starts.append(outer)
        return self.labels.records(starts[-1:], waits, follows_channels=True)

    def _is_at_work(self) -> bool:
        """Return whether a model, a timer or the user's own code is at work for a speech and may complete it."""
        # Later releases don't await the tasks that call a model, but futures that these tasks set.
        starts = [task for task in self.edges.tasks if task in self.edges.infos or self.edges.is_generating(task)]
        records = self.labels.records(starts, graph.reachable(starts, self.edges.wait))
        return any(
            end.reason in MAY_COMPLETE or not (end.reason or end.waits_in.startswith("livekit.agents."))
            for end in records
            if end.role in _AT_WORK and not end.waits_for
        )
