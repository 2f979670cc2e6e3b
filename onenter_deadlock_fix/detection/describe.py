"""Who is who: what the nodes of the graph are called, in livekit-agents' words, with the lines of the user's code."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import os
import sysconfig
from collections.abc import Container, Hashable, Iterator
from typing import Any, NamedTuple

from .asyncio_edges import Future, Task
from .library import VOICE
from .livekit_edges import LivekitEdges
from .stack import Suspended, name_of

# the role of who is in a function of the library, and what it is called with the name of the agent
_OWN = {
    f"{VOICE}agent_activity._traceable_on_enter": "on_enter",
    f"{VOICE}agent_activity._traceable_on_exit": "on_exit",
    f"{VOICE}agent_activity._user_turn_completed_task": "on_user_turn_completed",
}
_SESSION = {
    f"{VOICE}agent_session._aclose_impl": ("session close", "the session close"),
    f"{VOICE}agent_session.drain": ("session.drain()", "session.drain()"),
    f"{VOICE}run_result._await_impl": ("session.run()", "session.run()"),
}
_NOT_THE_USERS = ("livekit.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix._", "onenter_deadlock_fix.detection.")
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = ("site-packages", "dist-packages")

Place = tuple[str, str]  # a line of the user's: where it is, and what it says, where that is known


class Name(NamedTuple):
    """What a node is called. ``same`` is equal for nodes that stand for one thing, as a reply and its task do."""

    role: str
    text: str
    same: Hashable
    places: tuple[Place, ...] = ()
    addition: str = ""  # to the text, where something else is called the same


class Waiter(NamedTuple):
    """One who waits, and for whom.

    role: what it is, as ``tool``, ``on_enter``, ``reply`` or ``handoff``; ``task`` for a task of the user's.
    name: what it is called in a sentence.
    waits_for: the name of the next one; empty where it is not known what this one waits for.
    reason: why it waits, where livekit-agents knows.
    places: the way through the user's own code to where it waits, outermost first.
    """

    role: str
    name: str
    waits_for: str = ""
    reason: str = ""
    places: tuple[Place, ...] = ()

    def __str__(self) -> str:
        waits = f" waits for {self.waits_for}" if self.waits_for else " waits" if self.reason else ""
        return f"{self.name}{waits}" + (f": {self.reason}" if self.reason else "")


class Names:
    """What the nodes of the graph are called."""

    def __init__(self, edges: LivekitEdges) -> None:
        self._edges = edges

    def waits(self, start: Future, among: Container[Future] | None = None) -> list[Waiter]:
        """Say whom ``start`` waits for, whom these wait for, and so on, ``among`` these nodes or as far as is known."""
        pairs: dict[tuple[Name, Name | None, str], None] = {}
        to_do: list[tuple[Name | None, Future]] = [(None, start)]  # who waits, and a node on the way to the next one
        seen: set[tuple[Hashable, int]] = set()
        for position, (waiter, node) in enumerate(to_do):
            for name in self._of(node):
                if waiter and name.same != waiter.same:
                    pairs[waiter, name, ""] = None
                waiter = name
            to_do[position] = waiter, node
            wait = self._edges.wait(node)
            awaited = [one for one in wait.awaited if among is None or one in among]
            if waiter and not awaited:
                pairs[waiter, None, wait.reason] = None
            new = [one for one in awaited if (waiter and waiter.same, id(one)) not in seen]
            seen.update((waiter and waiter.same, id(one)) for one in new)
            to_do += [(waiter, one) for one in new]
        for waiter, _ in reversed(to_do):  # who waits for nothing else waits for itself
            if waiter and all(waiter.same != other.same for other, *_ in pairs):
                pairs[waiter, waiter, ""] = None
        called = {(name.text, name.same) for pair in pairs for name in pair[:2] if name}
        texts = [text for text, _ in called]

        def text(name: Name | None) -> str:
            return name.text + (name.addition if texts.count(name.text) > 1 else "") if name else ""

        told = (Waiter(name.role, text(name), text(after), reason, name.places) for name, after, reason in pairs)
        return list(dict.fromkeys(told))

    def of_change(self, task: Task) -> Name:
        """Return the name of the change that a task is in the middle of, as a handoff, or else the task's own."""
        return [_of_task(task), *self._of(task)][-1]

    def of_speech(self, handle: Any) -> Name:
        """Return what a speech is called."""
        tasks = (task for task in handle._tasks if task in self._edges.tasks)
        is_say = any(one.frame.f_code.co_name == "_tts_task" for task in tasks for one in self._edges.stack(task))
        role, text = ("say", "session.say()") if is_say else ("reply", "the reply")
        return Name(role, f"{text} {handle.id}", handle.id)

    def _of(self, node: Any) -> list[Name]:
        """Return what a node is called: nothing, its name, or that and then the change that it is in the middle of."""
        if node in self._edges.handles:
            return [self.of_speech(self._edges.handles[node])]
        found: list[Name] = []
        with contextlib.suppress(Exception):  # what can't be read has no name
            suspended = self._edges.stack(node) if node in self._edges.tasks else []
            own, places = self._own(node, suspended), _places(suspended)
            changes = list(self._changes(node, suspended))
            if own or (places and not changes):
                found.append((own or _of_task(node))._replace(places=places))
            if changes:
                # an activity is closed on the way of others, too, and an AgentTask is what a handoff is for
                told = [one for one in changes if one[0] not in ("activity close", "AgentTask")] or changes
                addition = own.addition if own else f" ({_of_task(node).text})"
                found.append(Name(*told[-1], (id(node), told[-1]), () if own else places, addition))
        return found

    def _own(self, task: Task, suspended: list[Suspended]) -> Name | None:
        """Return what a task is by what it was made for, or None where livekit-agents has not made it for the user."""
        info = self._edges.infos.get(task)
        if info and info.function_call:
            call = info.function_call
            return Name("tool", f"the tool {call.name}", call.call_id, addition=f" ({call.call_id})")
        for one in suspended:
            if role := _OWN.get(one.function):
                agent = name_of(type(one.variables["self"].agent))
                if role == "on_user_turn_completed" and all(each.frame.f_code.co_name != role for each in suspended):
                    return Name("user turn", f"the turn of the user with {agent}", id(task))
                return Name(role, f"{role} of {agent}", id(task))
        return self.of_speech(info.speech_handle) if info and info.speech_handle else None

    def _changes(self, task: Task, suspended: list[Suspended]) -> Iterator[tuple[str, str]]:
        """Yield the changes of the agent, and the waits for the session, that a task is in, outermost first."""
        agent_task = self._edges.agent_task(task)
        kind = name_of(type(agent_task))
        functions = [one.function for one in suspended]
        for function, one in zip(functions, suspended):
            if function == f"{VOICE}agent.__await_impl":
                yield "AgentTask", f"the AgentTask {kind}"
            elif function == f"{VOICE}agent_session._update_activity":
                # innermost, it waits for on_enter of the AgentTask, and the handoff is over
                if agent_task is not None and one is not suspended[-1]:
                    way = "to" if one.variables["agent"] is agent_task else "back from"
                    yield "handoff", f"the handoff {way} {kind}"
            elif function == f"{VOICE}agent_session._update_activity_task":
                agent = one.variables[one.frame.f_code.co_varnames[one.frame.f_code.co_argcount - 1]]  # by its place
                yield "update_agent()", f"update_agent() to {name_of(type(agent))}"
            elif function == f"{VOICE}agent_activity.aclose":
                yield "activity close", f"the close of the activity of {name_of(type(one.variables['self'].agent))}"
            elif function == f"{VOICE}run_result._await_impl" and f"{VOICE}agent_session.start" in functions:
                yield "session.run()", "session.start(capture_run=True)"
            elif function in _SESSION:
                yield _SESSION[function]


def _of_task(task: Task) -> Name:
    """Return what a task is called that has no other name; its class may be the user's."""
    with contextlib.suppress(Exception):  # of a task from before nest_asyncio was applied
        return Name("task", f"the task {asyncio.Task.get_name(task)}", id(task))
    return Name("task", "a task", id(task))


def _places(suspended: list[Suspended]) -> tuple[Place, ...]:
    """Return the lines of the user's own code; those of installed packages where there are no others."""
    own: list[Place] = []
    installed: list[Place] = []
    for one in suspended:
        code, line = one.frame.f_code, one.frame.f_lineno
        is_installed = any(folder in code.co_filename for folder in _INSTALLED)
        if not one.function.startswith(_NOT_THE_USERS) and (is_installed or not code.co_filename.startswith(_STDLIB)):
            # without the module's globals, in which a loader of the user's may be
            text = linecache.getline(code.co_filename, line).strip()
            (installed if is_installed else own).append((f"{code.co_filename}:{line} in {code.co_name}", text))
    return tuple(own or installed)
