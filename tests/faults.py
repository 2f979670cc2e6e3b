"""Play faults: at every await point of a handoff to an AgentTask and of the way back, one after the other.

``faults.json`` has what comes of each on bare 1.3.6: ``ONENTER_DEADLOCK_FIX=off nox -s shell -- 1.3.6 -m faults``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import json
import os
import warnings
from collections import Counter
from collections.abc import Generator
from typing import Any, Callable, NamedTuple
from unittest import mock

from livekit.agents import AgentSession, function_tool
from livekit.agents.voice.agent_activity import AgentActivity
from scenarios import nested
from scenarios.stage import Desk, Lobby, Name, complete, note, play, quiet, reply, sessions, start

import onenter_deadlock_fix

# What raises, before or after it has done its work, at each of its calls from the handoff to the way back.
FUNCTIONS = {
    "_update_activity": AgentSession,
    **dict.fromkeys(("pause", "_pause_scheduling_task", "_close_session", "start", "_start_session"), AgentActivity),
    **dict.fromkeys(("drain", "aclose", "resume", "_resume_scheduling_task"), AgentActivity),
}
OF_THE_AGENT_TASK = ("on_enter", "on_enter late", "on_exit", "complete")
AT_AN_AWAIT_POINT = ("cancel", "cancel late", "close", "update_agent", "raise")


class Fault(NamedTuple):
    """What goes wrong where the handoff awaits for the nth time, or in the nth call of a function."""

    kind: str
    number: int = 0
    function: str = ""

    def __str__(self) -> str:
        return " ".join(map(str, filter(None, self)))


class Injected(Exception):
    """The exception that is injected."""


class _Injection:
    """A fault that is injected, and how far the handoff has come."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.is_under_way = False
        self.points = 0  # how often the handoff was suspended
        self.calls: Counter[str] = Counter()
        self.tasks: list[asyncio.Task[None]] = []

    def at_await_point(self) -> BaseException | None:
        """Count an await point, inject the fault if this is its place, and return what is to be raised there."""
        self.points += 1
        if self.fault.function or self.points != self.fault.number:
            return None
        loop, task, session = asyncio.get_running_loop(), asyncio.current_task(), sessions[0]
        assert task is not None
        if self.fault.kind == "cancel":
            loop.call_soon(task.cancel)
        elif self.fault.kind == "close":
            loop.call_soon(lambda: self.tasks.append(loop.create_task(session.aclose())))
        elif self.fault.kind == "update_agent":
            loop.call_soon(session.update_agent, Lobby())
        elif self.fault.kind == "cancel late":
            return asyncio.CancelledError()
        else:
            return Injected()
        return None

    def raise_in(self, function: str) -> None:
        self.calls[function] += 1
        if self.fault.kind == function and self.calls[function] == 1:
            raise Injected


_injection = _Injection(Fault("none"))  # of the fault that is being played


class Victim(Name):
    """The AgentTask that meets the fault. Its hooks are suspended once, as real ones are."""

    async def on_enter(self) -> None:
        _injection.raise_in("on_enter")
        await asyncio.sleep(0)
        self.session.generate_reply()
        _injection.raise_in("on_enter late")

    async def on_exit(self) -> None:
        await asyncio.sleep(0)
        _injection.raise_in("on_exit")

    @function_tool
    async def give_name(self) -> None:
        try:
            _injection.raise_in("complete")
        except Injected as error:
            complete(self, error)
        else:
            complete(self, "Ada")


class _Suspended:
    """Awaits the victim, and injects the fault at an await point."""

    def __await__(self) -> Generator[Any, Any, Any]:
        awaited: Any = Victim().__await__()
        resume: Callable[[], Any] = functools.partial(next, awaited)
        while True:
            try:
                future = resume()
            except StopIteration as stop:
                return stop.value
            to_raise = _injection.at_await_point()
            try:
                sent = yield future
            except BaseException as error:
                to_raise = error
            if to_raise is None:
                resume = functools.partial(awaited.send, sent)
            else:
                resume = functools.partial(awaited.throw, to_raise)


async def _await_victim() -> str:
    _injection.is_under_way = True
    try:
        return await note("the victim", _Suspended())
    finally:
        _injection.is_under_way = False


class InTool(Desk):
    """The victim is awaited in a tool of a reply that on_enter awaits."""

    @function_tool
    async def collect(self) -> str:
        return await _await_victim()


class InToolThatTriesAgain(Desk):
    """The same, and the tool awaits another AgentTask after an exception."""

    @function_tool
    async def collect(self) -> str:
        try:
            return await _await_victim()
        except Exception:
            return await note("collect again", Name())


class Outer(nested.Patterned):
    """An AgentTask with the pattern, which completes whatever comes of it."""

    async def on_enter(self) -> None:
        try:
            await super().on_enter()
        finally:
            if not self.done():
                complete(self, "nobody")

    @function_tool
    async def ask_name(self) -> None:
        complete(self, await _await_victim())


class InNestedTool(Desk):
    """The victim is awaited in the pattern in an AgentTask of the pattern."""

    Task = Outer


class InOnEnter(Lobby):
    """The victim is awaited in on_enter."""

    async def on_enter(self) -> None:
        await _await_victim()


PLACES = (InTool, InToolThatTriesAgain, InNestedTool, InOnEnter)


async def _perform(place: type[Lobby]) -> None:
    """Let the victim meet its fault, close the session whatever came of it, and play the pattern in another one."""
    session = await start(place(), nested.ANSWERS)
    await quiet()
    tasks = [asyncio.ensure_future(note("the user", reply(session, user_input="Hello?", tool_choice="none")))]
    await quiet()
    tasks.append(asyncio.ensure_future(note("the close", session.aclose())))
    await quiet()
    await start(Desk())
    await quiet()
    await tasks[-1]


def _raising(owner: type, name: str) -> Any:
    """Return a patch by which a function raises where the fault is in it."""
    function = getattr(owner, name)

    @functools.wraps(function)
    async def raising(*args: Any, **kwargs: Any) -> Any:
        _injection.calls[name] += _injection.is_under_way
        number = _injection.is_under_way and _injection.calls[name]
        if _injection.fault == Fault("raise before", number, name):
            raise Injected
        result = await function(*args, **kwargs)
        if _injection.fault == Fault("raise after", number, name):
            raise Injected
        return result

    return mock.patch.object(owner, name, raising)


def _play(place: type[Lobby], fault: Fault) -> str:
    """Play a fault, and return how that ended and its steps."""
    global _injection
    _injection = _Injection(fault)
    outcome = play(functools.partial(_perform, place))
    return ", ".join([outcome["ended"], *outcome["steps"]])


def play_faults(place: type[Lobby], mode: Any) -> dict[str, Any]:
    """Play no fault and then every one at a place, in a mode of detection; return the outcomes and all warnings."""
    os.environ["PYTHONASYNCIODEBUG"] = "1" if place is InTool else ""  # it takes as long again
    onenter_deadlock_fix.detect(mode, after=0.2)
    with contextlib.ExitStack() as stack:
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        for name, owner in FUNCTIONS.items():
            stack.enter_context(_raising(owner, name))
        warnings.simplefilter("always")
        outcomes = {"none": _play(place, Fault("none"))}
        points, calls = _injection.points, _injection.calls
        kinds = ("raise",) if place is InToolThatTriesAgain else AT_AN_AWAIT_POINT
        faults = [Fault(kind, number) for kind in kinds for number in range(1, points + 1)]
        for kind, function in itertools.product(("raise before", "raise after"), FUNCTIONS):
            faults += [Fault(kind, number, function) for number in range(1, calls[function] + 1)]
        for fault in (*faults, *map(Fault, OF_THE_AGENT_TASK)):
            outcomes[str(fault)] = _play(place, fault)
        gc.collect()
    return {"outcomes": outcomes, "warnings": [str(warning) for warning in caught]}


if __name__ == "__main__":
    print(json.dumps({place.__name__: play_faults(place, "off")["outcomes"] for place in PLACES}, indent=1))
