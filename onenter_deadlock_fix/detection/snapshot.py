"""Read all tasks of an event loop once: which changes of the agent are deadlocked, and who waits for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple, Optional

from . import graph
from .labels import NO_LABEL, Label, Labels, WaitRecord
from .livekit_edges import GIVEN_UP, PLAYED, UNREACHED, LivekitEdges
from .livekit_internals import CHANGE_FUNCTIONS, REPORTED_IF_SLOW, VOICE
from .stack import MODEL_REASONS, TIMED, Task, frame_to_report, user_lines, where_and_why

TEMPORARY = {GIVEN_UP, TIMED}
_MAY_COMPLETE = {*TEMPORARY, PLAYED, *MODEL_REASONS}
# Roles that may be at work while session.run() waits. Not on_enter(): it may be waiting for the user's turn.
_AT_WORK = ("tool", "reply", "say", "user turn", "on_user_turn_completed", "task")

WaitOf = Callable[[Any], Optional[graph.Wait]]


class Deadlock(NamedTuple):
    """A deadlock, and the change that it blocks."""

    nodes: frozenset[Any]  # identities of the tasks and speeches in it, the same in each snapshot
    change_label: Label
    is_on_cycle: bool  # whether the change waits for itself

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Return the sort key; the lowest is reported: handoffs and AgentTasks first, then changes on the cycle."""
        return self.change_label.role not in ("handoff", "AgentTask"), not self.is_on_cycle, self.change_label.text


class Snapshot:
    """All tasks of an event loop, and the waits of some (or all) of them. Create and use it in one callback of it."""

    def __init__(self, tasks: set[Task], starts: Iterable[Task] | None = None) -> None:
        self.edges = LivekitEdges(tasks)
        self.labels = Labels(self.edges)
        self.waits = graph.reachable(tasks if starts is None else starts, self.edges.wait)
        self.deadlocked = graph.deadlocked(self.waits)
        self._causes = graph.causes(self.deadlocked)

    def deadlock(self, task: Task) -> Deadlock | None:
        """Return the deadlock that keeps a task from completing, or None if it is merely slow."""
        if task not in self.deadlocked:
            return None
        cause = next(self._causes[node] for node in self.reachable_from(task) if node in self._causes)
        is_on_cycle = task in cause and bool(self.waits[task].awaited)
        return Deadlock(self._identify(cause), self.labels[task].change_label, is_on_cycle)

    def explain(self, task: Task) -> list[WaitRecord]:
        """Return who waits for whom in the deadlock that keeps a task from completing."""
        return self._records([task], self.deadlocked.get)

    def explain_slow_wait(self, task: Task) -> list[WaitRecord]:
        """Return who waits for whom if a task is slow, or [] if its wait may take any time.

        Any time may be taken by ``session.run()`` while a model or user code is at work, by an AgentTask that a turn of
        the user can reach, and by ``on_enter()``. If the task runs no user code, start with who awaits its AgentTask.
        """
        is_reported_if_slow = not REPORTED_IF_SLOW.isdisjoint(self.edges.functions(task))
        may_take_any_time = not (is_reported_if_slow or self.waits[task].reason.endswith(UNREACHED))
        if may_take_any_time or (self.is_run(task) and self._is_at_work()):
            return []
        waits, starts = dict(self.waits), [task]
        for start in starts:
            _, agent = self.edges.awaited_agent_tasks.get(start, (None, None))
            for outer, (awaited, _) in self.edges.awaited_agent_tasks.items():
                if awaited is agent and outer not in starts and not user_lines(self.edges.stack(start)):
                    waits[outer] = graph.Wait((start,))
                    starts.append(outer)
        return self._records(starts[-1:], lambda node: waits.get(node) or self.edges.wait(node), follows_channels=True)

    def is_run(self, task: Task) -> bool:
        """Return whether a task waits for ``session.run()``, or for ``session.start(capture_run=True)``."""
        return f"{VOICE}run_result._await_impl" in self.edges.functions(task)

    def cycle(self) -> list[str]:
        """Return who waits for whom in the smallest deadlock, or [] if there is none."""
        nodes = min(self._causes.values(), key=len, default=frozenset[Any]())
        starts = sorted(nodes & self.edges.tasks or nodes, key=lambda node: self.labels[node].own_label.text)[:1]
        return list(map(str, self._records(starts, self.deadlocked.get)))

    def reachable_from(self, task: Task) -> dict[Any, graph.Wait]:
        """Return the waits of a deadlocked task and of all deadlocked nodes that it waits for, the nearest first."""
        return graph.reachable([task], self.deadlocked.get)

    def _identify(self, nodes: Iterable[Any]) -> frozenset[Any]:
        """Return the identities of the tasks and speeches among nodes; a task's includes the changes that it executes.

        Futures and the tasks that ``wait_for()`` creates are left out: a tool that tries again creates new ones.
        """
        identities: set[Any] = set()
        for node in nodes:
            if node in self.edges.handles:
                identities.add(id(self.edges.handles[node]))
            elif node in self.edges.tasks and not self.edges.is_made_by_wait_for(node):
                changes = (frame.awaitable for frame in self.edges.stack(node) if frame.function in CHANGE_FUNCTIONS)
                identities.add((id(node), *map(id, changes)))
        return frozenset(identities)

    def _is_at_work(self) -> bool:
        """Return whether a model, a timer, the playout or the user's own code is at work for a speech."""
        # Later releases don't await the tasks that call a model, but futures that these tasks set.
        starts = [task for task in self.edges.tasks if task in self.edges.infos or self.edges.is_generating(task)]
        return any(
            # No reason outside livekit.agents: the user's own code is at work.
            why in _MAY_COMPLETE or not (why or where.startswith("livekit.agents."))
            for waiter, awaited, where, why in self._labelled_waits(starts, self.edges.wait)
            if waiter.role in _AT_WORK and awaited == NO_LABEL
        )

    def _records(self, starts: Iterable[Any], wait_of: WaitOf, *, follows_channels: bool = False) -> list[WaitRecord]:
        labelled = dict.fromkeys(self._labelled_waits(starts, wait_of, follows_channels))
        waiters = {waiter for waiter, *_ in labelled}
        without_other_waits = [awaited for _, awaited, *_ in labelled if awaited not in waiters]
        labelled.update(dict.fromkeys((label, label, "", "") for label in without_other_waits))
        self.labels.uses = Counter(label.text for label in {label for wait in labelled for label in wait[:2]})
        name, lines = self.labels.display_name, self.labels.lines
        return [
            WaitRecord(waiter.role, name(waiter), name(awaited), where, why, lines.get(waiter, {}))
            for waiter, awaited, where, why in sorted(labelled, key=lambda wait: wait[1] == NO_LABEL)
            if waiter != NO_LABEL
        ]

    def _labelled_waits(
        self, starts: Iterable[Any], wait_of: WaitOf, follows_channels: bool = False
    ) -> Iterator[tuple[Label, Label, str, str]]:
        """Yield the waits of ``starts`` and of all that they wait for: waiter, awaited, where and why.

        Nodes that are not shown are passed through: A -> hidden -> B yields (A, B). A path begins with (``NO_LABEL``,
        its first label) and ends with (its last label, ``NO_LABEL``). A node that has no wait is left out. If
        ``follows_channels``, a task that reads a channel is followed to the tasks that write to it.
        """
        # The last label on a path, the last task after it that runs code of its own, why that waits, the next node.
        to_do: list[tuple[Label, Any, str, Any]] = [(NO_LABEL, None, "", node) for node in starts]
        seen: set[tuple[Label, int]] = set()
        writers: set[Any] = set()
        for waiter, task, why, node in to_do:
            wait = wait_of(node)
            if wait is None or (waiter, id(node)) in seen:
                continue
            seen.add((waiter, id(node)))
            own_label, change_label, is_shown = self.labels[node]
            for label in (own_label, change_label) if is_shown or node in writers else ():
                if label != waiter:
                    yield waiter, label, "", why
                    waiter, task, why = label, None, ""
            if node in self.edges.tasks and frame_to_report(self.edges.stack(node)):
                task = node
            awaited = list(wait.awaited)
            if type(node) is graph.Wait:
                awaited = awaited[:1]  # the first is what is awaited; the others could only end that wait
            elif not awaited:
                end = waiter if task is None or wait.reason else self.labels[task].change_label
                if end != waiter:
                    yield waiter, end, "", ""
                awaited = self.edges.writers(task) if follows_channels and not wait.reason else []
                writers.update(awaited)
                if not awaited:
                    where, reason = where_and_why(self.edges.stack(task))
                    yield end, NO_LABEL, where, wait.reason or reason
                waiter = end
            to_do += [(waiter, task, wait.reason or why, other) for other in awaited]
