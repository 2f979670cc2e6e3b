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

# who is called by which function of the activity
_METHODS = {
    f"{VOICE}agent_activity._traceable_on_enter": "on_enter",
    f"{VOICE}agent_activity._traceable_on_exit": "on_exit",
    f"{VOICE}agent_activity._user_turn_completed_task": "on_user_turn_completed",
}
_SESSION = {
    f"{VOICE}agent_session._aclose_impl": "session close",
    f"{VOICE}agent_session.drain": "session.drain()",
    f"{VOICE}run_result._await_impl": "session.run()",
}
_NOT_THE_USERS = ("livekit.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix._", "onenter_deadlock_fix.detection.")
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = ("site-packages", "dist-packages")

Place = tuple[str, str]  # a line of the user's: where it is, and what it says, where that is known


class Waiter(NamedTuple):
    """One who waits, and for whom.

    role: ``tool``, ``on_enter``, ``on_exit``, ``on_user_turn_completed``, ``user turn``, ``reply``, ``say``,
        ``AgentTask``, ``handoff``, ``update_agent()``, ``session close``, ``session.drain()``, ``session.run()``,
        ``activity close`` or ``task``.
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


class Name(NamedTuple):
    """What a node is called. ``same`` is equal for nodes that stand for one thing, as a reply and its task do."""

    role: str
    text: str
    same: Hashable
    places: tuple[Place, ...] = ()
    addition: str = ""  # to the text, where something else is called the same


def waits(edges: LivekitEdges, start: Future, among: Container[Future] | None = None) -> list[Waiter]:
    """Say whom ``start`` waits for, whom these wait for, and so on, ``among`` these nodes or as far as is known."""
    pairs: dict[tuple[Name, Name | None, str], None] = {}
    to_do: list[tuple[Name | None, Future]] = [(None, start)]  # who waits, and a node on the way to the next one
    seen: set[tuple[Hashable, int]] = set()
    for position, (waiter, node) in enumerate(to_do):
        for name in names(edges, node):
            if waiter and name.same != waiter.same:
                pairs[waiter, name, ""] = None
            waiter = name
        to_do[position] = waiter, node
        wait = edges.wait(node)
        awaited = [one for one in wait.awaited if among is None or one in among]
        if waiter and not awaited:
            pairs[waiter, None, wait.reason] = None
        new = [one for one in awaited if (waiter and waiter.same, id(one)) not in seen]
        seen.update((waiter and waiter.same, id(one)) for one in new)
        to_do += [(waiter, one) for one in new]
    for waiter, _ in reversed(to_do):  # who waits for nothing else waits for itself
        if waiter and all(waiter.same != other.same for other, *_ in pairs):
            pairs[waiter, waiter, ""] = None
    called: dict[str, set[Hashable]] = {}
    for name in (name for pair in pairs for name in pair[:2] if name):
        called.setdefault(name.text, set()).add(name.same)

    def text(name: Name | None) -> str:
        return name.text + (name.addition if len(called[name.text]) > 1 else "") if name else ""

    told = (Waiter(name.role, text(name), text(after), reason, name.places) for name, after, reason in pairs)
    return list(dict.fromkeys(told))


def name(edges: LivekitEdges, task: Task) -> Name:
    """Return the name of the change that a task is in the middle of, as a handoff, or else the task's own."""
    return [_task_name(task), *names(edges, task)][-1]


def names(edges: LivekitEdges, node: Any) -> list[Name]:
    """Return what a node is called: nothing, its name, or its name and then the change that it is in the middle of."""
    if node in edges.handles:
        return [speech(edges, edges.handles[node])]
    with contextlib.suppress(Exception):  # what can't be read has no name
        return _names_of_task(edges, node) if node in edges.tasks else []
    return []


def speech(edges: LivekitEdges, handle: Any) -> Name:
    """Return what a speech is called."""
    tasks = (task for task in handle._tasks if task in edges.tasks)
    if any(one.frame.f_code.co_name == "_tts_task" for task in tasks for one in edges.stack(task)):
        return Name("say", f"session.say() {handle.id}", handle.id)
    return Name("reply", f"the reply {handle.id}", handle.id)


def _task_name(task: Task) -> Name:
    """Return what a task is called that has no other name; its class may be the user's."""
    with contextlib.suppress(Exception):  # of a task from before nest_asyncio was applied
        return Name("task", f"the task {asyncio.Task.get_name(task)}", id(task))
    return Name("task", "a task", id(task))


def _names_of_task(edges: LivekitEdges, task: Task) -> list[Name]:
    own, places = _own_name(edges, task), _places(edges.stack(task))
    changes = list(_changes(edges, task))
    found = [own] if own else []
    if changes:
        # an activity is closed on the way of others, too, and an AgentTask is what a handoff is for
        told = [one for one in changes if one[0] not in ("activity close", "AgentTask")] or changes
        role, text = told[-1]
        found.append(
            Name(role, text, (id(task), role), addition=own.addition if own else f" ({_task_name(task).text})")
        )
    elif not own and places:
        found.append(_task_name(task))
    return [found[0]._replace(places=places), *found[1:]] if found else []


def _own_name(edges: LivekitEdges, task: Task) -> Name | None:
    """Return what a task is by what it was made for, or None where it was not made by livekit-agents for the user."""
    info = edges.infos.get(task)
    if info and info.function_call:
        call = info.function_call
        return Name("tool", f"the tool {call.name}", call.call_id, addition=f" ({call.call_id})")
    suspended = edges.stack(task)
    for one in suspended:
        if role := _METHODS.get(one.function):
            agent = name_of(type(one.variables["self"].agent))
            if role == "on_user_turn_completed" and all(each.frame.f_code.co_name != role for each in suspended):
                return Name("user turn", f"the turn of the user with {agent}", id(task))
            return Name(role, f"{role} of {agent}", id(task))
    return speech(edges, info.speech_handle) if info and info.speech_handle else None


def _changes(edges: LivekitEdges, task: Task) -> Iterator[tuple[str, str]]:
    """Yield the changes of the agent, and the waits for the session, that a task is in, outermost first."""
    agent_task = edges.agent_task(task)
    kind = name_of(type(agent_task))
    suspended = edges.stack(task)
    functions = {one.function: one for one in suspended}
    for function, one in functions.items():
        if function == f"{VOICE}agent.__await_impl":
            yield "AgentTask", f"the AgentTask {kind}"
        elif (
            function == f"{VOICE}agent_session._update_activity" and agent_task is not None and one is not suspended[-1]
        ):
            # else the handoff is over, and it is on_enter of the AgentTask that is waited for
            yield "handoff", f"the handoff {'to' if one.variables['agent'] is agent_task else 'back from'} {kind}"
        elif function == f"{VOICE}agent_session._update_activity_task":
            agent = one.variables[one.frame.f_code.co_varnames[one.frame.f_code.co_argcount - 1]]  # by its place
            yield "update_agent()", f"update_agent() to {name_of(type(agent))}"
        elif function == f"{VOICE}agent_activity.aclose":
            yield "activity close", f"the close of the activity of {name_of(type(one.variables['self'].agent))}"
        elif role := _SESSION.get(function):
            starts = role == "session.run()" and f"{VOICE}agent_session.start" in functions
            yield role, "session.start(capture_run=True)" if starts else f"the {role}" if " " in role else role


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
