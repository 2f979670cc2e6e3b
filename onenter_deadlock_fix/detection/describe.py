"""Who is who: what the nodes of the graph are called, in livekit-agents' words, with the lines of the user's code."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import os
import sysconfig
from collections import Counter
from collections.abc import Container, Hashable, Iterator
from typing import Any, NamedTuple

from .asyncio_edges import Future, Task
from .library import VOICE
from .livekit_edges import LivekitEdges
from .stack import Suspended, name_of

# function -> the role of who is in it, and what it is called with the class of the agent
_ROLES = {
    f"{VOICE}agent_activity._traceable_on_enter": ("on_enter", "on_enter of {}"),
    f"{VOICE}agent_activity._traceable_on_exit": ("on_exit", "on_exit of {}"),
    f"{VOICE}agent_activity._user_turn_completed_task": ("user turn", "the turn of the user with {}"),
    f"{VOICE}agent_activity.aclose": ("activity close", "the close of the activity of {}"),
    f"{VOICE}agent.__await_impl": ("AgentTask", "the AgentTask {}"),
    f"{VOICE}agent_session._update_activity": ("handoff", "the handoff to {}"),
    f"{VOICE}agent_session._update_activity_task": ("update_agent()", "update_agent() to {}"),
    f"{VOICE}agent_session._aclose_impl": ("session close", "the session close"),
    f"{VOICE}agent_session.drain": ("session.drain()", "session.drain()"),
    f"{VOICE}run_result._await_impl": ("session.run()", "session.run()"),
}
_MADE_FOR = ("on_enter", "on_exit", "user turn", "on_user_turn_completed")  # the others are changes
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
        self._found: dict[Future, list[Name]] = {}
        self._ambiguous: set[Hashable] = set()  # those whose text something else has, too

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
        waiting = {waiter.same for waiter, *_ in pairs}
        for waiter, _ in reversed(to_do):
            if waiter and waiter.same not in waiting:  # who waits for nothing else waits for itself
                waiting.add(waiter.same)
                pairs[waiter, waiter, ""] = None
        called = {(name.text, name.same) for pair in pairs for name in pair[:2] if name}
        texts = Counter(text for text, _ in called)
        self._ambiguous.update(same for text, same in called if texts[text] > 1)
        told = (
            Waiter(name.role, self._text(name), self._text(after) if after else "", reason, name.places)
            for name, after, reason in pairs
        )
        return list(dict.fromkeys(told))

    def of_change(self, task: Task) -> Name:
        """Return the name of the change that a task is in the middle of, as a handoff, or else the task's own."""
        name = [_plain_name(task), *self._of(task)][-1]
        return name._replace(text=self._text(name))

    def of_task(self, task: Task) -> str:
        """Return what a task is called, whatever change it is in the middle of."""
        return self._text([*self._of(task), _plain_name(task)][0])

    def of_speech(self, handle: Any) -> Name:
        """Return what a speech is called."""
        tasks = (task for task in handle._tasks if task in self._edges.tasks)
        is_say = any(
            one.function == f"{VOICE}agent_activity._tts_task" for task in tasks for one in self._edges.stack(task)
        )
        role, text = ("say", "session.say()") if is_say else ("reply", "the reply")
        return Name(role, f"{text} {handle.id}", handle.id)

    def _text(self, name: Name) -> str:
        return name.text + (name.addition if name.same in self._ambiguous else "")

    def _of(self, node: Any) -> list[Name]:
        """Return what a node is called: nothing, its name, or that and then the change that it is in the middle of."""
        if node not in self._found:
            self._found[node] = self._find(node)
        return self._found[node]

    def _find(self, node: Any) -> list[Name]:
        if node in self._edges.handles:
            return [self.of_speech(self._edges.handles[node])]
        found: list[Name] = []
        with contextlib.suppress(Exception):  # what can't be read has no name
            suspended = self._edges.stack(node) if node in self._edges.tasks else []
            roles, places = list(self._roles(node, suspended)), _places(suspended)
            own = self._own(node, [each for each in roles if each[0] in _MADE_FOR])
            changes = [each for each in roles if each[0] not in _MADE_FOR]
            if own or (places and not changes):
                found.append((own or _plain_name(node))._replace(places=places))
            if changes:
                # an activity is closed on the way of others, too, and an AgentTask is what a handoff is for
                told = [each for each in changes if each[0] not in ("activity close", "AgentTask")] or changes
                addition = own.addition if own else f" ({_plain_name(node).text})"
                found.append(Name(*told[-1], (id(node), told[-1]), () if own else places, addition))
        return found

    def _own(self, task: Task, made_for: list[tuple[str, str]]) -> Name | None:
        """Return what a task is called by what livekit-agents has made it for, or None where it has not made it."""
        info = self._edges.infos.get(task)
        if info and info.function_call:
            call = info.function_call
            return Name("tool", f"the tool {call.name}", call.call_id, addition=f" ({call.call_id})")
        if made_for:
            return Name(*made_for[0], id(task))
        return self.of_speech(info.speech_handle) if info and info.speech_handle else None

    def _roles(self, task: Task, suspended: list[Suspended]) -> Iterator[tuple[str, str]]:
        """Yield what a task is by the functions of the library that it is in, outermost first: role and name."""
        agent_task = self._edges.agent_task(task)
        functions = [one.function for one in suspended]
        for one, function in zip(suspended, functions):
            role, text = _ROLES.get(function, ("", ""))
            agent = agent_task
            if function.startswith(f"{VOICE}agent_activity.") and role:
                agent = one.variables["self"].agent
            if role == "user turn" and any(each.frame.f_code.co_name == "on_user_turn_completed" for each in suspended):
                role, text = "on_user_turn_completed", "on_user_turn_completed of {}"
            elif role == "update_agent()":
                agent = one.variables[one.frame.f_code.co_varnames[one.frame.f_code.co_argcount - 1]]  # by its place
            elif role == "handoff" and (agent_task is None or one is suspended[-1]):
                role = ""  # innermost, it waits for on_enter of the AgentTask, and the handoff is over
            elif role == "handoff" and one.variables["agent"] is not agent_task:
                text = "the handoff back from {}"
            elif role == "session.run()" and f"{VOICE}agent_session.start" in functions:
                text = "session.start(capture_run=True)"
            if role:
                yield role, text.format(name_of(type(agent)))


def _plain_name(task: Task) -> Name:
    """Return what a task is called that has no other name; its class may be the user's."""
    with contextlib.suppress(Exception):  # of a task from before nest_asyncio was applied
        if name := asyncio.Task.get_name(task):
            return Name("task", f"the task {name}", id(task))
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
