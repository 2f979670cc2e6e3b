"""Name the nodes of the graph in livekit-agents' terms."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from types import CoroutineType
from typing import Any, NamedTuple

from .livekit_edges import LivekitEdges
from .livekit_internals import VOICE
from .stack import Suspended, name_of, user_lines

_TURN = "on_user_turn_completed"
# A row: a function of ``VOICE`` that a task is suspended in, the end of the name of another one that it must be
# suspended in, too, its role, and its name, in which {} is the class of the agent. The first row that matches counts.
_ROLE_ROWS = (
    ("agent_activity._traceable_on_enter", "", "on_enter", "on_enter() of {}"),
    ("agent_activity._traceable_on_exit", "", "on_exit", "on_exit() of {}"),
    ("agent_activity._user_turn_completed_task", f".{_TURN}", _TURN, f"{_TURN}() of {{}}"),
    ("agent_activity._user_turn_completed_task", "", "user turn", "the turn of the user with {}"),
)
_CHANGE_ROWS = (
    ("agent_session._update_activity_task", "", "update_agent()", "session.update_agent({})"),
    ("agent_session._aclose_impl", "voice.agent_session.aclose", "session close", "session.aclose()"),
    ("agent_session._aclose_impl", "", "session close", "the close of the session"),
    ("agent_session.drain", "", "session.drain()", "session.drain()"),
    ("run_result._await_impl", "voice.agent_session.start", "session.run()", "session.start(capture_run=True)"),
    ("run_result._await_impl", "", "session.run()", "session.run()"),
    # These may also be steps of a handoff or of the changes above.
    ("agent_activity.aclose", "", "activity close", "the close of the activity of {}"),
    ("agent.__await_impl", "", "AgentTask", "the AgentTask {}"),
)
CHANGE_ROLES = {"handoff", *(role for _, _, role, _ in _CHANGE_ROWS)}


class Label(NamedTuple):
    """The name of a node in the records."""

    role: str  # its kind, for example ``tool``, ``on_enter``, ``reply`` or ``handoff``; ``task`` for other user code
    text: str  # its name in a sentence
    identity: int  # distinguishes it from other nodes with the same text


NO_LABEL = Label("", "", 0)


class WaitRecord(NamedTuple):
    """Who waits, and for whom."""

    role: str  # of the waiter, as in ``Label``
    name: str  # of the waiter, in a sentence
    waits_for: str  # the name of what it waits for, if that is known
    waits_in: str  # else the module and function that it is suspended in, unless these are user code
    reason: str  # why it waits, if that is known
    lines: dict[str, str]  # the places of the waiter's user code, outermost first, each with its text

    def __str__(self) -> str:
        where = f" for {self.waits_for}" if self.waits_for else f" in {self.waits_in}" if self.waits_in else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.name} waits{where}{reason}" if where or reason else self.name


class NodeLabels(NamedTuple):
    """The labels of a node itself and of the change that it is executing; they are the same if it has only one."""

    own_label: Label
    change_label: Label
    is_shown: bool  # whether the records name it; they pass through others, which run no user code


class Labels(dict[Any, NodeLabels]):
    """The labels of the nodes of the graph. Nodes of the same thing share one, as a reply and its task do."""

    def __init__(self, edges: LivekitEdges) -> None:
        self._edges = edges
        self.lines: dict[Label, dict[str, str]] = {}  # the places of the user's code that a label's tasks are in
        self.uses: Counter[str] = Counter()  # text -> how many labels of the last records have it

    def __missing__(self, node: Any) -> NodeLabels:
        name = "without a name"
        # Raised for a future, and for a task that was created before nest_asyncio was applied.
        with contextlib.suppress(Exception):
            name, coroutine = asyncio.Task.get_name(node), asyncio.Task.get_coro(node)  # its class may be user-defined
            if type(coroutine) is CoroutineType and name.startswith("Task-"):  # asyncio has named it
                name = coroutine.__name__
        fallback = Label("task", f"the task {name}", id(node))
        self[node] = NodeLabels(fallback, fallback, is_shown=False)  # if the node can't be read
        with contextlib.suppress(Exception):
            self[node] = self._read(node, fallback)
        return self[node]

    def display_name(self, label: Label) -> str:
        """Return the label's text, with its identity if other labels of the last records share the text."""
        return f"{label.text} ({label.identity:#x})" if self.uses[label.text] > 1 else label.text

    def speech_label(self, handle: Any) -> Label:
        functions = (function for task in handle._tasks for function in self._edges.functions(task))
        is_say = f"{VOICE}agent_activity._tts_task" in functions
        role, text = ("say", "session.say()") if is_say else ("reply", "the reply")
        return Label(role, f"{text} {handle.id}", id(handle))

    def _read(self, node: Any, fallback: Label) -> NodeLabels:
        frames, info = self._edges.stack(node), self._edges.infos.get(node)
        call, handle = (info.function_call, info.speech_handle) if info else (None, self._edges.handles.get(node))
        identity = id(call or node)  # one call may have two tasks
        own = Label("tool", f"the tool {call.name}", identity) if call else _label_by(_ROLE_ROWS, frames, identity)
        if own is None and handle:
            own = self.speech_label(handle)
        change = _label_by(_CHANGE_ROWS, frames, identity)
        agent_task = self._edges.agent_task(node)
        # As the innermost frame, _update_activity waits for on_enter() of the AgentTask: the handoff is over.
        handoff = next(
            (frame for frame in frames[:-1] if frame.function.endswith(".agent_session._update_activity")), None
        )
        if handoff and agent_task is not None:
            direction = "to" if handoff.variables["agent"] is agent_task else "back from"
            change = Label("handoff", f"the handoff {direction} {name_of(type(agent_task))}", identity)
        lines = user_lines(frames)
        labels = NodeLabels(own or change or fallback, change or own or fallback, bool(own or change or lines))
        self.lines.setdefault(labels.own_label, {}).update(lines)
        return labels


def _label_by(rows: Iterable[tuple[str, str, str, str]], frames: list[Suspended], identity: int) -> Label | None:
    by_function = {frame.function: frame for frame in frames}
    for function, other, role, text in rows:
        frame = by_function.get(VOICE + function)
        if frame and any(name.endswith(other) for name in by_function):
            variables, code = frame.variables, frame.frame.f_code
            # The last argument is the AgentTask itself or the new agent; its name differs by release.
            last = variables.get(code.co_varnames[code.co_argcount - 1]) if code.co_argcount else None
            agent = variables["self"].agent if function.startswith("agent_activity.") else last
            return Label(role, text.format(name_of(type(agent))), identity)
    return None
