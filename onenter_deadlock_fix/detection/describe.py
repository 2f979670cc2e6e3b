"""Who is who: what the nodes of the graph are called, in livekit-agents' words, with the lines of the user's code."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .asyncio_edges import Future
from .graph import Wait
from .library import VOICE
from .livekit_edges import LivekitEdges
from .stack import Suspended, Task, name_of

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
# What a task is in the middle of, whatever it is itself. An activity is closed on the way of others, too, and an
# AgentTask is what a handoff is for.
_ON_THE_WAY = ("activity close", "AgentTask")
CHANGES = (*_ON_THE_WAY, "handoff", "update_agent()", "session close", "session.drain()", "session.run()")
_NOT_THE_USERS = ("livekit.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix._", "onenter_deadlock_fix.detection.")
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = ("site-packages", "dist-packages")

Place = tuple[str, str]  # a line of the user's: where it is, and what it says, where that is known


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
    """What the nodes of the graph are called. Nodes that stand for one thing have one name, as a reply and its task."""

    def __init__(self, edges: LivekitEdges) -> None:
        self._edges = edges
        self._found: dict[Future, list[str]] = {}
        self._named: dict[str, Waiter] = {}  # by the name that nothing else has
        self._called: Counter[str] = Counter()  # how many of the last waits are called so by the shorter one

    def waits(self, start: Future, waits: Mapping[Future, Wait]) -> list[Waiter]:
        """Say whom ``start`` waits for, whom these wait for, and so on, among the nodes of ``waits``."""
        pairs: dict[tuple[str, str, str], None] = {}  # who waits, for whom, and why
        to_do = [("", start)]  # who waits, and a node on the way to the next one
        seen = set(to_do)
        for waiter, node in to_do:
            for name in self._of(node):
                if waiter and name != waiter:
                    pairs[waiter, name, ""] = None
                waiter = name
            awaited = [one for one in waits[node].awaited if one in waits]
            if waiter and not awaited:
                pairs[waiter, "", waits[node].reason] = None
            new = dict.fromkeys((waiter, one) for one in awaited if (waiter, one) not in seen)
            seen.update(new)
            to_do += new
        waiting = {waiter for waiter, *_ in pairs}
        # who waits for nothing else waits for itself
        pairs.update(((name, name, ""), None) for name, _ in reversed(to_do) if name and name not in waiting)
        self._called = Counter(self._named[name].name for name in {name for pair in pairs for name in pair[:2] if name})
        return [self._waiter(*pair) for pair in pairs]

    def change(self, task: Task) -> Waiter:
        """Return the change that a task is in the middle of, as a handoff, or else the task."""
        return self._waiter((self._of(task) or [self._name(task, *_plain(task))])[-1])

    def own(self, task: Task) -> str:
        """Return what a task is called, whatever change it is in the middle of."""
        return self._text((self._of(task) or [self._name(task, *_plain(task))])[0])

    def speech(self, handle: Any) -> str:
        """Return what a speech is called."""
        return self._name(handle, *self._role_of_speech(handle))

    def _waiter(self, name: str, waits_for: str = "", reason: str = "") -> Waiter:
        whom = self._text(waits_for) if waits_for else ""
        return self._named[name]._replace(name=self._text(name), waits_for=whom, reason=reason)

    def _text(self, name: str) -> str:
        text = self._named[name].name
        return name if self._called[text] > 1 else text

    def _of(self, node: Any) -> list[str]:
        """Return what a node is called: nothing, its name, or that and then the change that it is in the middle of."""
        if node not in self._found:
            self._found[node] = []  # what can't be read has no name
            with contextlib.suppress(Exception):
                self._found[node] = self._find(node)
        return self._found[node]

    def _find(self, node: Any) -> list[str]:
        if node in self._edges.handles:
            return [self.speech(self._edges.handles[node])]
        suspended = self._edges.stack(node)
        roles, places = list(self._roles_of(node, suspended)), _places(suspended)
        own = [each for each in roles if each[0] not in CHANGES][:1]
        changes = [each for each in roles if each[0] in CHANGES]
        if not roles and places:
            own = [_plain(node)]
        change = [each for each in changes if each[0] not in _ON_THE_WAY] or changes
        found = [self._name(node, *each) for each in (*own, *change[-1:])]
        if found:
            named = self._named[found[0]]
            self._named[found[0]] = named._replace(places=tuple(dict.fromkeys([*named.places, *places])))
        return found

    def _roles_of(self, task: Task, suspended: list[Suspended]) -> Iterator[tuple[str, str]]:
        """Yield what a task is, and then what it is in the middle of, outermost first: role and text."""
        info, agent_task = self._edges.infos.get(task), self._edges.agent_task(task)
        if info and info.function_call:
            yield "tool", f"the tool {info.function_call.name}"
        for one in suspended:
            role, text = _ROLES.get(one.function, ("", ""))
            agent = one.variables["self"].agent if role and "agent_activity" in one.function else agent_task
            if role == "user turn" and any(each.frame.f_code.co_name == "on_user_turn_completed" for each in suspended):
                role, text = "on_user_turn_completed", "on_user_turn_completed of {}"
            elif role == "update_agent()":
                agent = one.variables[one.frame.f_code.co_varnames[one.frame.f_code.co_argcount - 1]]  # by its place
            elif role == "handoff" and (agent_task is None or one is suspended[-1]):
                role = ""  # innermost, it waits for on_enter of the AgentTask, and the handoff is over
            elif role == "handoff" and one.variables["agent"] is not agent_task:
                text = "the handoff back from {}"
            elif role == "session.run()" and any(each.function == f"{VOICE}agent_session.start" for each in suspended):
                text = "session.start(capture_run=True)"
            if role:
                yield role, text.format(name_of(type(agent)))
        if info and info.speech_handle:
            yield self._role_of_speech(info.speech_handle)

    def _role_of_speech(self, handle: Any) -> tuple[str, str]:
        is_say = any(f"{VOICE}agent_activity._tts_task" in self._edges.functions(task) for task in handle._tasks)
        return ("say", f"session.say() {handle.id}") if is_say else ("reply", f"the reply {handle.id}")

    def _name(self, what: Any, role: str, text: str) -> str:
        """Return a name, which tells a task apart from others that are called the same; a call may have two tasks."""
        call = getattr(self._edges.infos.get(what), "function_call", None)
        name = text if role in ("reply", "say") else f"{text} ({id(call or what):#x})"
        self._named.setdefault(name, Waiter(role, text))
        return name


def _plain(task: Task) -> tuple[str, str]:
    """Return what a task is that has no other role; its class may be the user's."""
    with contextlib.suppress(Exception):  # of a task from before nest_asyncio was applied
        return "task", f"the task {asyncio.Task.get_name(task)}"
    return "task", "a task"


def _places(suspended: list[Suspended]) -> list[Place]:
    """Return the lines of the user's own code; those of installed packages where there are no others."""
    found: dict[bool, list[Place]] = {True: [], False: []}  # by whether it is an installed package's
    for one in suspended:
        code, line = one.frame.f_code, one.frame.f_lineno
        is_installed = any(folder in code.co_filename for folder in _INSTALLED)
        if not one.function.startswith(_NOT_THE_USERS) and (is_installed or not code.co_filename.startswith(_STDLIB)):
            # without the module's globals, in which a loader of the user's may be
            text = linecache.getline(code.co_filename, line).strip()
            found[is_installed].append((f"{code.co_filename}:{line} in {code.co_name}", text))
    return found[False] or found[True]
