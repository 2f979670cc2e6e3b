"""What the graph says, in livekit-agents' words and with the lines of the user's own code."""

from __future__ import annotations

import asyncio
import linecache
import sysconfig
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Optional

from livekit.agents.voice.agent import Agent, _get_activity_task_info

from .graph import Future, Graph, Task
from .stack import function_of

_VOICE = "livekit.agents.voice."
_METHODS = {  # by the function of the activity that calls them
    f"{_VOICE}agent_activity._traceable_on_enter": "on_enter",
    f"{_VOICE}agent_activity._traceable_on_exit": "on_exit",
    f"{_VOICE}agent_activity._user_turn_completed_task": "on_user_turn_completed",
}
_NOT_THE_USERS = ("livekit.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix.")
_STDLIB = sysconfig.get_path("stdlib")
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Waiter:
    """One who waits, and for whom.

    role: ``tool``, ``on_enter``, ``on_exit``, ``on_user_turn_completed``, ``reply``, ``handoff``, ``update_agent()``,
        ``session close``, ``session.drain()``, ``activity close`` or ``helper task``.
    name: what it is called in a sentence.
    waits_for: the name of the next one; empty where it is not known what this one waits for.
    file, line, function, code: the innermost line of the user's own code that it is suspended in; None where there is
        none, as for a reply.
    """

    role: str
    name: str
    waits_for: str
    file: str | None = None
    line: int | None = None
    function: str | None = None
    code: str | None = None

    @property
    def wait(self) -> str:
        """Who waits for whom, without the line."""
        return f"{self.name} waits for {self.waits_for}" if self.waits_for else self.name

    def __str__(self) -> str:
        if self.file is None:
            return self.wait
        code = f": {self.code}" if self.code else ""
        return f"{self.wait}, at {self.file}:{self.line} in {self.function}{code}"


def explain(graph: Graph, futures: Sequence[Future]) -> list[Waiter]:
    """Say who is who in a circle: of ``futures``, each waits for the next one, and the last one for the first.

    The circle begins with one of the agent's own methods if there is one in it.
    """
    names: list[_Name] = []
    for name in (name for future in futures for name in _names(graph, future)):
        if names and names[-1].same == name.same:
            names[-1] = names[-1].merged_with(name)
        else:
            names.append(name)
    if len(names) > 1 and names[0].same == names[-1].same:
        names[0] = names[0].merged_with(names.pop())
    first = next((number for number, name in enumerate(names) if name.role.startswith("on_")), 0)
    names = names[first:] + names[:first]
    return _waiters(zip(names, [*names[1:], *names[:1]]))


def explain_all(graph: Graph, start: Future) -> list[Waiter]:
    """Say whom ``start`` waits for, whom these wait for, and so on, down to those whose wait is not explained."""
    futures = [start]
    for future in futures:
        wait = graph.wait(future)
        futures += [awaited for awaited in (wait.awaited if wait else ()) if awaited not in futures]
    return _waiters(pair for future in futures for pair in _pairs(graph, future))


def who_is_in(graph: Graph, circle: Iterable[Future]) -> frozenset[int]:
    """Return a set that is the same for a circle wherever it is entered. It keeps nothing alive."""
    return frozenset(hash(name.same) for future in circle for name in _names(graph, future))


def waits(graph: Graph) -> list[Waiter]:
    """Return all that wait for somebody who has a name."""
    found = _waiters(pair for future in [*graph.tasks, *graph.replies] for pair in _pairs(graph, future))
    return [waiter for waiter in found if waiter.waits_for]


def deadlock(graph: Graph) -> list[Waiter]:
    """Return the waits that close a circle; of several circles always the same one, and [] where there is none."""
    stuck = graph.stuck(graph.tasks)
    circles = [explain(graph, circle) for future in stuck if (circle := graph.circle(future, stuck))]
    return min(filter(None, circles), key=lambda circle: (len(circle), [waiter.wait for waiter in circle]), default=[])


def name_of_change(graph: Graph, task: Task) -> str:
    """Return the name of the change that a task is in the middle of, as a hand-over, or else the task's own."""
    names = list(_names(graph, task))
    return names[-1].text if names else f"the task {task.get_name()}"


@dataclass(frozen=True)
class _Name:
    """What a future is called. ``same`` is the same for all that stand for one thing, as a reply and its task do."""

    role: str
    text: str
    same: Hashable
    addition: str = ""  # to the text, where something else is called the same
    frame: FrameType | None = None
    is_change: bool = False

    def merged_with(self, other: _Name) -> _Name:
        return replace(self, frame=self.frame or other.frame)


def _names(graph: Graph, future: Future) -> Iterator[_Name]:
    """Yield what a future is called: nothing, its name, or its name and then the change that it is in the middle of."""
    reply = graph.reply(future)
    if reply:
        yield _Name("reply", f"the reply {reply.id}", reply.id)
    if not isinstance(future, asyncio.Task):
        return
    name = _own_name(graph, future)
    if name:
        yield name
    frame = None if name else _users_frame(graph.frames(future))  # who has called session.aclose(), say
    changes = list(_changes(graph, future))
    if changes:
        # an activity is closed on the way of the others, too
        role, text = next((change for change in reversed(changes) if change[0] != "activity close"), changes[-1])
        yield _Name(role, text, (future, role), name.addition if name else "", frame, is_change=True)
    elif frame:
        yield _Name("helper task", f"the helper task {future.get_name()}", future, frame=frame)


def _own_name(graph: Graph, task: Task) -> _Name | None:
    """Return what a task is by what it was made for, or None where it was not made by livekit-agents for the user."""
    info = _get_activity_task_info(task)
    frames = graph.frames(task)
    if info and info.function_call:
        call = info.function_call
        return _Name("tool", f"the tool {call.name}", call.call_id, f" ({call.call_id})", _users_frame(frames))
    for frame in frames:
        method = _METHODS.get(function_of(frame))
        if method:
            agent = type(frame.f_locals["self"].agent).__name__
            return _Name(method, f"{method} of {agent}", task, frame=_users_frame(frames))
    if info and info.speech_handle:
        reply = info.speech_handle.id
        return _Name("reply", f"the reply {reply}", reply, frame=_users_frame(frames))
    return None


def _changes(graph: Graph, task: Task) -> Iterator[tuple[str, str]]:
    """Yield the changes of the agent, and the ends of the session, that a task is in the middle of, outermost first."""
    awaited = graph.awaited_agent_task(task)
    for frame in graph.frames(task):
        function = function_of(frame)
        if function == f"{_VOICE}agent_session._update_activity" and awaited:
            back = "" if frame.f_locals["agent"] is awaited else "back "
            yield "handoff", f"the hand-over {back}{'from' if back else 'to'} {type(awaited).__name__}"
        elif function == f"{_VOICE}agent_session._update_activity_task":
            (agent,) = (value for value in frame.f_locals.values() if isinstance(value, Agent))
            yield "update_agent()", f"update_agent() to {type(agent).__name__}"
        elif function == f"{_VOICE}agent_session._aclose_impl":
            yield "session close", "the session close"
        elif function == f"{_VOICE}agent_session.drain":
            yield "session.drain()", "session.drain()"
        elif function == f"{_VOICE}agent_activity.aclose":
            yield "activity close", f"the end of the activity of {type(frame.f_locals['self'].agent).__name__}"


_Pair = tuple[_Name, Optional[_Name]]


def _pairs(graph: Graph, future: Future) -> Iterator[_Pair]:
    """Yield the names of a future, each with whom it waits for: the next name, or all that the future waits for."""
    names = list(_names(graph, future))
    yield from zip(names, names[1:])
    for last in names[-1:]:
        after = dict(_names_after(graph, future))
        agent_task = graph.awaited_agent_task(future) if isinstance(future, asyncio.Task) else None
        if after:
            # unless it is the task that does what this one stands for
            yield from ((last, name) for it, name in after.items() if it is future or name.same != last.same)
        elif agent_task and not last.is_change:  # it has been handed over to, and is under way
            yield last, _Name("AgentTask", f"the AgentTask {type(agent_task).__name__}", agent_task)
        else:
            yield last, None


def _names_after(graph: Graph, future: Future) -> Iterator[tuple[Future, _Name]]:
    """Yield those whom a future waits for, with their names, past those who have none."""
    passed = [future]
    for waiting in passed:
        wait = graph.wait(waiting)
        for awaited in wait.awaited if wait else ():
            name = next(_names(graph, awaited), None)
            if name:
                yield awaited, name
            elif awaited not in passed:
                passed.append(awaited)


def _waiters(pairs: Iterable[_Pair]) -> list[Waiter]:
    """Put pairs of names in words, each once."""
    pairs = list(pairs)
    called: dict[str, set[Hashable]] = {}
    for name in filter(None, (name for pair in pairs for name in pair)):
        called.setdefault(name.text, set()).add(name.same)

    def text(name: _Name) -> str:
        return name.text + name.addition if len(called[name.text]) > 1 else name.text

    found: dict[Waiter, None] = {}
    for name, after in pairs:
        waits_for = text(after) if after else ""
        found[Waiter(name.role, text(name), waits_for, *(_line(name.frame) if name.frame else ()))] = None
    return list(found)


def _line(frame: FrameType) -> tuple[str, int, str, str | None]:
    code = frame.f_code
    line = linecache.getline(code.co_filename, frame.f_lineno, frame.f_globals).strip()
    return code.co_filename, frame.f_lineno, code.co_name, line or None


def _users_frame(frames: Sequence[FrameType]) -> FrameType | None:
    """Return the innermost frame of the user's own code; that of an installed package where there is no other."""
    others = []
    for frame in reversed(frames):
        file = frame.f_code.co_filename
        is_installed = any(folder in file for folder in _INSTALLED)
        if function_of(frame).startswith(_NOT_THE_USERS) or (file.startswith(_STDLIB) and not is_installed):
            continue
        if not is_installed:
            return frame
        others.append(frame)
    return others[0] if others else None
