"""Name the nodes of the graph in livekit-agents' terms, and list who waits for whom, with lines of the user's code."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import CoroutineType
from typing import Any, NamedTuple, Optional

from .asyncio_edges import Future
from .graph import Wait, reachable
from .livekit_edges import LivekitEdges
from .livekit_internals import VOICE
from .places import Line, innermost, place_of, reason_of, user_lines
from .stack import Suspended, Task, name_of

# function -> the role of a task that is suspended in it, and the task's name, given the class name of the agent
_ROLES = {
    f"{VOICE}agent_activity._traceable_on_enter": ("on_enter", "on_enter() of {}"),
    f"{VOICE}agent_activity._traceable_on_exit": ("on_exit", "on_exit() of {}"),
    f"{VOICE}agent_activity._user_turn_completed_task": ("user turn", "the turn of the user with {}"),
    f"{VOICE}agent_activity.aclose": ("activity close", "the close of the activity of {}"),
    f"{VOICE}agent.__await_impl": ("AgentTask", "the AgentTask {}"),
    f"{VOICE}agent_session._update_activity": ("handoff", "the handoff to {}"),
    f"{VOICE}agent_session._update_activity_task": ("update_agent()", "session.update_agent({})"),
    f"{VOICE}agent_session._aclose_impl": ("session close", "the close of the session"),
    f"{VOICE}agent_session.drain": ("session.drain()", "session.drain()"),
    f"{VOICE}run_result._await_impl": ("session.run()", "session.run()"),
}
# These may also be steps of another change; then the task is named after that change.
_STEP_ROLES = ("activity close", "AgentTask")
CHANGE_ROLES = (*_STEP_ROLES, "handoff", "update_agent()", "session close", "session.drain()", "session.run()")


class Label(NamedTuple):
    """The name of a node in the records.

    role: its kind, for example ``tool``, ``on_enter``, ``reply`` or ``handoff``; ``task`` for a task of user code.
    text: its name in a sentence.
    identity: distinguishes it from other nodes with the same text.
    """

    role: str
    text: str
    identity: int


class NodeLabels(NamedTuple):
    """The labels of a node itself and of the change that it is executing."""

    own: Label | None = None
    change: Label | None = None


class WaitRecord(NamedTuple):
    """Who waits, and for whom.

    role: the role of the waiter, as in ``Label``.
    name: its name in a sentence.
    waits_for: the name of what it waits for; empty if that is not known.
    waits_in: if that is not known, the module and function that it is suspended in, unless these are user code.
    reason: why it waits, if that is known.
    lines: the stack of the waiter's user code, outermost first.
    """

    role: str
    name: str
    waits_for: str = ""
    waits_in: str = ""
    reason: str = ""
    lines: tuple[Line, ...] = ()

    def __str__(self) -> str:
        where = f" for {self.waits_for}" if self.waits_for else f" in {self.waits_in}" if self.waits_in else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.name} waits{where}{reason}" if where or reason else self.name


_LabelledWait = tuple[Label, Optional[Label], str, str]  # waiter, awaited, waits_in, reason


class Labels:
    """The labels of the nodes of the graph. Nodes of the same thing share one, as a reply and its task do."""

    def __init__(self, edges: LivekitEdges) -> None:
        self._edges = edges
        self._labels: dict[Future, NodeLabels] = {}
        self._lines: dict[Label, tuple[Line, ...]] = {}
        self._ambiguous: frozenset[str] = frozenset()  # texts that several labels of the last records share

    def records(
        self, starts: Iterable[Future], waits: Mapping[Future, Wait], *, follows_channels: bool = False
    ) -> list[WaitRecord]:
        """Return the waits of ``starts`` and of all that they wait for, among the nodes of ``waits``.

        follows_channels: whether a task that reads a channel is followed to the tasks that write to it.
        """
        labelled: dict[_LabelledWait, None] = {}
        waits = dict(waits)
        # the last label and the last task on the path to a node, why that task waits, and the node
        to_do: list[tuple[Label | None, Any, str, Any]] = [(None, None, "", node) for node in starts]
        seen: set[tuple[Label | None, int]] = {(None, id(node)) for *_, node in to_do}
        for waiter, task, reason, node in to_do:
            is_task = node in self._edges.tasks
            for label in filter(None, self.labels_of(node)):
                if waiter and label != waiter:
                    labelled[waiter, label, "", reason] = None
                    task = None
                waiter, reason = label, ""
            wait, task = waits[node], node if is_task and innermost(self._edges.stack(node)) else task
            awaited = [other for other in wait.awaited if other in waits]
            if type(node) is Wait:
                awaited = awaited[:1]
            elif not awaited:
                awaited = self._edges.writers(node if is_task else task) if follows_channels and not wait.reason else []
                waits = {**reachable(awaited, self._edges.wait), **waits}
                waiter = self._add_last_wait(labelled, waiter, task, wait.reason, awaited)
            for other in awaited:
                if (waiter, id(other)) not in seen:
                    seen.add((waiter, id(other)))
                    to_do.append((waiter, task, wait.reason or reason, other))
        waiting = {waiter for waiter, *_ in labelled}
        for label, *_ in reversed(to_do):
            if label and label not in waiting:  # listed as a waiter without a known wait
                labelled.setdefault((label, label, "", ""))
        named = {label for waiter, awaited_label, *_ in labelled for label in (waiter, awaited_label) if label}
        counted = Counter(label.text for label in named)
        self._ambiguous = frozenset(text for text, count in counted.items() if count > 1)
        return [self.record(*wait) for wait in sorted(labelled, key=lambda wait: wait[1] is None)]  # unknown waits last

    def record(self, waiter: Label, awaited: Label | None = None, waits_in: str = "", reason: str = "") -> WaitRecord:
        whom = self.display_name(awaited) if awaited else ""
        return WaitRecord(waiter.role, self.display_name(waiter), whom, waits_in, reason, self._lines.get(waiter, ()))

    def change_label(self, task: Task) -> Label:
        """Return the label of the change that a task is executing, or else of the task."""
        own, change = self.labels_of(task)
        return change or own or _plain_label(task)

    def own_label(self, task: Task) -> Label:
        """Return the label of a task itself, or else of the change that it is executing."""
        own, change = self.labels_of(task)
        return own or change or _plain_label(task)

    def speech_label(self, handle: Any) -> Label:
        functions = (function for task in handle._tasks for function in self._edges.functions(task))
        is_say = f"{VOICE}agent_activity._tts_task" in functions
        role, text = ("say", "session.say()") if is_say else ("reply", "the reply")
        return Label(role, f"{text} {handle.id}", id(handle))

    def display_name(self, label: Label) -> str:
        """Return the label's text, with its identity if other labels of the last records share the text."""
        return f"{label.text} ({label.identity:#x})" if label.text in self._ambiguous else label.text

    def labels_of(self, node: Any) -> NodeLabels:
        if node not in self._labels:
            self._labels[node] = NodeLabels()  # a node that can't be read has no label
            with contextlib.suppress(Exception):
                self._labels[node] = self._read_labels(node)
        return self._labels[node]

    def _add_last_wait(
        self, labelled: dict[_LabelledWait, None], waiter: Label | None, task: Any, reason: str, writers: list[Task]
    ) -> Label | None:
        """Add the last wait on a path: its waiter, place and reason. If there are ``writers``, only label these.

        A task without a label is labelled with its coroutine's name. Return the label of the waiter.
        """
        frames = self._edges.stack(task)
        place = place_of(frames)
        if place and not reason and self.labels_of(task) == NodeLabels():
            label = _plain_label(task)
            if waiter and waiter != label:
                labelled[waiter, label, "", ""] = None
            waiter = label
        for writer in writers if waiter else ():
            if self.labels_of(writer) == NodeLabels():
                self._labels[writer] = NodeLabels(_plain_label(writer))
        if waiter and not writers:
            labelled[waiter, None, place, reason or reason_of(frames)] = None
        return waiter

    def _read_labels(self, node: Any) -> NodeLabels:
        if node in self._edges.handles:
            return NodeLabels(self.speech_label(self._edges.handles[node]))
        frames = self._edges.stack(node)
        labels, lines = list(self._labels_in(node, frames)), user_lines(frames)
        own = next((label for label in labels if label.role not in CHANGE_ROLES), None)
        if not labels and lines:
            own = _plain_label(node)
        changes = [label for label in labels if label.role in CHANGE_ROLES]
        changes = [label for label in changes if label.role not in _STEP_ROLES] or changes
        change = changes[-1] if changes else None
        waiter = own or change
        if waiter:
            self._lines[waiter] = tuple(dict.fromkeys([*self._lines.get(waiter, ()), *lines]))
        return NodeLabels(own, change)

    def _labels_in(self, task: Task, frames: list[Suspended]) -> Iterator[Label]:
        """Yield the task's own label, then the labels of the changes that it is executing, outermost first."""
        info, agent_task = self._edges.infos.get(task), self._edges.agent_task(task)
        # One call may have two tasks.
        identity = id(info.function_call if info and info.function_call else task)
        if info and info.function_call:
            yield Label("tool", f"the tool {info.function_call.name}", identity)
        functions = [frame.function for frame in frames]
        for frame in frames:
            role, text = _ROLES.get(frame.function, ("", ""))
            agent = frame.variables["self"].agent if role and "agent_activity" in frame.function else agent_task
            if role == "user turn" and any(other.frame.f_code.co_name == "on_user_turn_completed" for other in frames):
                role, text = "on_user_turn_completed", "on_user_turn_completed() of {}"
            elif role == "update_agent()":
                code = frame.frame.f_code
                agent = frame.variables[code.co_varnames[code.co_argcount - 1]]  # the name differs by release
            elif role == "handoff" and (agent_task is None or frame is frames[-1]):
                role = ""  # as the innermost frame it waits for on_enter() of the AgentTask, after the handoff
            elif role == "handoff" and frame.variables["agent"] is not agent_task:
                text = "the handoff back from {}"
            elif role == "session close" and f"{VOICE}agent_session.aclose" in functions:
                text = "session.aclose()"
            elif role == "session.run()" and f"{VOICE}agent_session.start" in functions:
                text = "session.start(capture_run=True)"
            if role:
                yield Label(role, text.format(name_of(type(agent))), identity)
        if info and info.speech_handle:
            yield self.speech_label(info.speech_handle)


def _plain_label(task: Task) -> Label:
    """Return the label of a task without any other role; its class may be user-defined."""
    name = "without a name"
    with contextlib.suppress(Exception):  # raised for a task created before nest_asyncio was applied
        name, coroutine = asyncio.Task.get_name(task), asyncio.Task.get_coro(task)
        if type(coroutine) is CoroutineType and name.startswith("Task-"):  # asyncio has named it
            name = coroutine.__name__
    return Label("task", f"the task {name}", id(task))
