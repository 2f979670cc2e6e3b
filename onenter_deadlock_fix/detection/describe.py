"""Who is who: what the nodes of the graph are called, in livekit-agents' words, with the lines of the user's code."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import os
import sysconfig
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from types import FrameType
from typing import Any, NamedTuple

from .asyncio_edges import Future, Task
from .livekit_edges import VOICE, LivekitEdges
from .stack import function_of

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


class Place(NamedTuple):
    """A line of the user's: where it is, and what it says, where that is known."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.text else self.where


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


def waits(edges: LivekitEdges, start: Future, among: AbstractSet[Future] | None = None) -> list[Waiter]:
    """Say whom ``start`` waits for, whom these wait for, and so on, ``among`` these nodes or as far as is known."""
    pairs: dict[tuple[Name, Name | None, str], None] = {}
    seen: set[tuple[Hashable, int]] = set()
    # who waits, the nodes on the way since it has got its name, and the node that is come to
    to_do: deque[tuple[Name | None, tuple[Future, ...], Future]] = deque([(None, (), start)])
    while to_do:
        waiter, way, node = to_do.popleft()
        for name in _names(edges, node):
            if waiter and name.same != waiter.same:
                pairs[waiter, name, ""] = None
            if not waiter or name.same != waiter.same:
                way = ()
            waiter = name
        way = (*way, node)
        wait = edges.wait(node)
        awaited = [one for one in (wait.awaited if wait else ()) if among is None or one in among]
        back = [one for one in awaited if any(one is before for before in way)]
        if waiter and any(next(_names(edges, one), waiter).same == waiter.same for one in back):
            pairs[waiter, waiter, ""] = None
        elif waiter and not awaited:
            pairs[waiter, None, wait.reason if wait else _reason(edges, node)] = None
        for one in awaited:
            if (waiter and waiter.same, id(one)) not in seen:
                seen.add((waiter and waiter.same, id(one)))
                to_do.append((waiter, way, one))
    called: dict[str, set[Hashable]] = {}
    for name in (name for pair in pairs for name in pair[:2] if name):
        called.setdefault(name.text, set()).add(name.same)

    def text(name: Name | None) -> str:
        return name.text + (name.addition if len(called[name.text]) > 1 else "") if name else ""

    told = (Waiter(name.role, text(name), text(after), reason, name.places) for name, after, reason in pairs)
    return list(dict.fromkeys(told))


def name(edges: LivekitEdges, task: Task) -> Name:
    """Return the name of the change that a task is in the middle of, as a handoff, or else the task's own."""
    return [Name("task", _task(task), id(task)), *_names(edges, task)][-1]


def _task(task: Task) -> str:
    """Return what a task is called that has no other name; its class may be the user's."""
    with contextlib.suppress(Exception):  # of a task from before nest_asyncio was applied
        return f"the task {asyncio.Task.get_name(task)}"
    return "a task"


def _class_name(agent: Any) -> str:
    """Return the name of an agent's class, whose own class may be the user's."""
    return str(type.__dict__["__name__"].__get__(type(agent)))


def _reason(edges: LivekitEdges, node: Any) -> str:
    """Return why a node that is free has not completed yet, where livekit-agents knows, or else an empty text."""
    frames = edges.frames(node) if node in edges.tasks else []
    is_played = any(function_of(frame) == f"{VOICE}io.wait_for_playout" for frame in frames)
    return "it is being played" if is_played else edges.reason(node)


def _names(edges: LivekitEdges, node: Any) -> Iterator[Name]:
    """Yield what a node is called: nothing, its name, or its name and then the change that it is in the middle of."""
    if node in edges.handles:
        yield speech(edges, edges.handles[node])
    with contextlib.suppress(Exception):  # what can't be read has no name
        if node in edges.tasks:
            yield from _names_of_task(edges, node)


def _names_of_task(edges: LivekitEdges, task: Task) -> Iterator[Name]:
    frames = {function_of(frame): frame for frame in edges.frames(task)}
    places = _places(edges.frames(task))
    own = _own_name(edges, task, frames, places)
    if own:
        yield own
    changes = list(_changes(edges, task, frames))
    if changes:
        # an activity is closed on the way of others, too, and an AgentTask is what a handoff is for
        role, text = next((one for one in changes[::-1] if one[0] not in ("activity close", "AgentTask")), changes[-1])
        yield Name(role, text, (id(task), role), () if own else places, own.addition if own else "")
    elif places and not own:
        yield Name("task", _task(task), id(task), places)


def _own_name(edges: LivekitEdges, task: Task, frames: dict[str, FrameType], places: tuple[Place, ...]) -> Name | None:
    """Return what a task is by what it was made for, or None where it was not made by livekit-agents for the user."""
    info = edges.infos.get(task)
    if info and info.function_call:
        call = info.function_call
        return Name("tool", f"the tool {call.name}", call.call_id, places, f" ({call.call_id})")
    for function in _METHODS.keys() & frames.keys():
        role, agent = _METHODS[function], _class_name(frames[function].f_locals["self"].agent)
        if role == "on_user_turn_completed" and all(frame.f_code.co_name != role for frame in frames.values()):
            return Name("user turn", f"the turn of the user with {agent}", id(task))
        return Name(role, f"{role} of {agent}", id(task), places)
    return speech(edges, info.speech_handle)._replace(places=places) if info and info.speech_handle else None


def speech(edges: LivekitEdges, handle: Any) -> Name:
    """Return what a speech is called."""
    tasks = (task for task in handle._tasks if task in edges.tasks)
    if any(frame.f_code.co_name == "_tts_task" for task in tasks for frame in edges.frames(task)):
        return Name("say", f"session.say() {handle.id}", handle.id)
    return Name("reply", f"the reply {handle.id}", handle.id)


def _changes(edges: LivekitEdges, task: Task, functions: dict[str, FrameType]) -> Iterator[tuple[str, str]]:
    """Yield the changes of the agent, and the waits for the session, that a task is in, outermost first."""
    agent_task = edges.agent_task(task)
    kind = _class_name(agent_task)
    for function, frame in functions.items():
        if function == f"{VOICE}agent.__await_impl":
            yield "AgentTask", f"the AgentTask {kind}"
        elif function == f"{VOICE}agent_session._update_activity" and agent_task is not None:
            yield "handoff", f"the handoff {'to' if frame.f_locals['agent'] is agent_task else 'back from'} {kind}"
        elif function == f"{VOICE}agent_session._update_activity_task":
            agent = frame.f_locals[frame.f_code.co_varnames[frame.f_code.co_argcount - 1]]  # by its place
            yield "update_agent()", f"update_agent() to {_class_name(agent)}"
        elif function == f"{VOICE}agent_activity.aclose":
            yield "activity close", f"the close of the activity of {_class_name(frame.f_locals['self'].agent)}"
        elif function in _SESSION:
            role = _SESSION[function]
            starts = role == "session.run()" and f"{VOICE}agent_session.start" in functions
            yield role, "session.start(capture_run=True)" if starts else f"the {role}" if " " in role else role


def _places(frames: Iterable[FrameType]) -> tuple[Place, ...]:
    """Return the lines of the user's own code; those of installed packages where there are no others."""
    own: list[FrameType] = []
    installed: list[FrameType] = []
    for frame in frames:
        file = frame.f_code.co_filename
        is_installed = any(folder in file for folder in _INSTALLED)
        if not function_of(frame).startswith(_NOT_THE_USERS) and (is_installed or not file.startswith(_STDLIB)):
            (installed if is_installed else own).append(frame)
    return tuple(map(_place, own or installed))


def _place(frame: FrameType) -> Place:
    code, text = frame.f_code, ""
    with contextlib.suppress(Exception):  # of a loader of the user's
        text = linecache.getline(code.co_filename, frame.f_lineno, frame.f_globals).strip()
    return Place(f"{code.co_filename}:{frame.f_lineno} in {code.co_name}", text)
