"""The stage that the scenarios are played on: one session with a scripted model, and what happens on it, in order.

It belongs to the whole process, since a scenario has a process of its own. An agent of a scenario uses ``step`` and
``note`` to tell what happens to it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Callable, TypeVar

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm

from onenter_deadlock_fix import status
from onenter_deadlock_fix.detection.describe import Waiter, deadlock, waits
from onenter_deadlock_fix.detection.graph import Graph
from onenter_deadlock_fix.verify.scripted_model import Answer, Script, ScriptedLLM, ToolCall, cue

T = TypeVar("T")
Outcome = dict[str, Any]

# What the model answers: by the text of the last message (a new agent's instructions are one), or by the name of the
# tool whose output came last. It has no other answer.
ANSWERS: dict[str, Answer] = {
    "desk": [ToolCall("collect")],
    "collect": "Thank you.",
    "name": [ToolCall("give_name")],
}


class Name(AgentTask[str]):
    """An AgentTask that a tool of its own completes."""

    def __init__(self, instructions: str = "name") -> None:
        super().__init__(instructions=instructions)

    async def on_enter(self) -> None:
        step("Name.on_enter")
        self.session.generate_reply()

    @function_tool
    async def give_name(self) -> None:
        """Called when the user has given a name."""
        complete(self, "Ada")

    async def on_exit(self) -> None:
        step("Name.on_exit")


class Desk(Agent):
    """An agent with the pattern: its on_enter awaits a reply, whose tool awaits an AgentTask."""

    def __init__(self, instructions: str = "desk") -> None:
        super().__init__(instructions=instructions)

    async def on_enter(self) -> None:
        await note("Desk.on_enter", reply(self.session))

    @function_tool
    async def collect(self) -> str:
        """Collects the user's name."""
        return await note("collect", Name())


class Lobby(Agent):
    """An agent that waits for the user."""

    def __init__(self, instructions: str = "lobby") -> None:
        super().__init__(instructions=instructions)


def step(what: str) -> None:
    """Note what has just happened."""
    _steps.append(what)
    _step(what).set()


async def note(who: str, awaitable: Awaitable[T]) -> T:
    """Await something, and note that, and how it came out."""
    step(f"{who} awaits")
    try:
        result = await awaitable
    except BaseException as error:
        step(f"{who} gets {type(error).__name__}")
        raise
    step(f"{who} goes on" if result is None else f"{who} gets {result}")
    return result


async def happens(what: str) -> None:
    """Wait for a step."""
    await _step(what).wait()


async def quiet() -> None:
    """Wait until nothing moves any more."""
    await _still(beats=3)


async def start(agent: Agent, answers: Mapping[str, Answer] | None = None, **options: Any) -> AgentSession[Any]:
    """Start the scenario's session, whose model gives these answers besides those of every scenario."""
    start = options.pop("start", {})
    session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(_script({**ANSWERS, **(answers or {})})), **options)
    _sessions.append(session)
    session.on("speech_created", lambda event: _speeches.append(event.speech_handle.id))
    session.on("conversation_item_added", _on_item_added)
    await session.start(agent, **start)
    return session


async def reply(session: AgentSession[Any], *args: Any, **kwargs: Any) -> None:
    """Await a reply, as ``await session.generate_reply()`` does, and return nothing."""
    await session.generate_reply(*args, **kwargs)


def complete(task: AgentTask[Any], result: Any) -> None:
    step(f"{type(task).__name__} completes")
    (getattr(task, "complete", None) or getattr(task, "_complete"))(result)  # noqa: B009  # the latter in 2.0.0b1


async def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> Outcome:
    """Play a scenario, close its sessions, and return what happened, with nothing random in it.

    ended: ``completed``, ``deadlock``, ``stuck`` (nothing moves, and no circle of waits is known) or ``error: ...``.
    waits: who waits for whom where it ended.
    log: what detection has logged, where it is on.
    steps: what has happened, in order.
    agent, chat: the last agent and its chat context, before its session was closed.
    """
    log = _Log() if status().detection != "off" else None
    performance = asyncio.ensure_future(_perform(scenario))
    still = asyncio.ensure_future(_still(beats=25, beats_in_a_deadlock=12))
    await asyncio.wait([performance, still], return_when=asyncio.FIRST_COMPLETED)
    outcome: Outcome = {"log": log.records} if log else {}
    if not performance.done():
        circle = deadlock(_graph())
        outcome["ended"] = "deadlock" if circle else "stuck"
        outcome["waits"] = _from_first(_told(circle)) if circle else sorted(set(_told(waits(_graph()))))
    elif performance.exception():
        outcome["ended"] = f"error: {performance.exception()!r}"
    else:
        outcome["ended"] = "completed"
        outcome["waits"] = sorted(set(_told(waits(_graph()))))  # none, unless somebody is left behind
    return {**outcome, "steps": _steps, **_left}


async def _perform(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await scenario()
    await quiet()
    for session in _sessions:
        _left["agent"] = type(session.current_agent).__name__
        _left["chat"] = [_line(item) for item in _chat(session).items if _is_said_or_done(item)]
        await note("closing the session", session.aclose())


_BEAT = 0.04
_steps: list[str] = []
_awaited: dict[str, asyncio.Event] = {}
_sessions: list[AgentSession[Any]] = []
_speeches: list[str] = []
_left: Outcome = {}


def _step(what: str) -> asyncio.Event:
    return _awaited.setdefault(what, asyncio.Event())


async def _still(beats: int, beats_in_a_deadlock: int | None = None) -> None:
    """Wait until no step has been taken for so many beats.

    Beats of the event loop and not seconds: on a busy machine they get longer, as everything else does. Where
    ``beats_in_a_deadlock`` are enough, a reply that livekit-agents is about to give up counts as a step.
    """
    seen, count = len(_steps), 0
    while count < beats:
        await asyncio.sleep(_BEAT)
        count = count + 1 if len(_steps) == seen else 0
        seen = len(_steps)
        if beats_in_a_deadlock and count >= beats_in_a_deadlock:
            graph = _graph()
            if any(map(graph.is_timed, graph.replies)):
                count = 0
            elif deadlock(graph):
                return


def _graph() -> Graph:
    return Graph(asyncio.get_running_loop())


class _Log(logging.Handler):
    """What detection logs, with nothing random in it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[dict[str, Any]] = []
        logging.getLogger("onenter_deadlock_fix").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        data = next(getattr(record, kind) for kind in ("deadlock", "let_go", "wait") if hasattr(record, kind))
        self.records.append(
            {
                "level": record.levelname,
                "says": _without_chance(record.getMessage().splitlines()[0]),
                "waits": _told([Waiter(**waiter) for waiter in data["waits"]]),
                # whether those that have a line of a scenario's are told with one
                "lines": [_is_of_a_scenario(waiter) for waiter in data["waits"] if waiter["role"] in _HAVE_LINES],
            }
        )


def _script(answers: Mapping[str, Answer]) -> Script:
    def script(chat_ctx: llm.ChatContext) -> Answer:
        last = cue(chat_ctx)
        return answers.get(last.tool or last.text, "")

    return script


def _chat(session: AgentSession[Any]) -> llm.ChatContext:
    """Return the last agent's chat context; in 2.0.0b1 that is the session's, and nobody else may ask for it."""
    try:
        return session.current_agent.chat_ctx
    except RuntimeError:
        return session.history


def _on_item_added(event: Any) -> None:
    if event.item.type == "message":  # hand-overs are added too, from 1.4 on
        step(_line(event.item))


def _is_said_or_done(item: Any) -> bool:
    return item.type in ("function_call", "function_call_output") or (item.type == "message" and item.role != "system")


def _line(item: Any) -> str:
    if item.type == "function_call":
        return f"calls {item.name}"
    if item.type == "function_call_output":
        return f"{item.name}: {item.output}"
    if item.type == "message":
        return f"{item.role}: {item.text_content}" + (" (interrupted)" if item.interrupted else "")
    return str(item.type)


_HAVE_LINES = ("tool", "on_enter", "on_exit", "on_user_turn_completed", "helper task")


def _is_of_a_scenario(waiter: dict[str, Any]) -> bool:
    return waiter["file"] is not None and Path(waiter["file"]).parent == Path(__file__).parent and waiter["line"] > 0


def _told(found: list[Waiter]) -> list[str]:
    """Return waits with nothing random in them; tasks without a name of their own are not told."""
    lines = [_without_chance(waiter.wait) for waiter in found]
    return [line for line in lines if not re.search(r"\bTask-\d+\b", line)]


def _without_chance(line: str) -> str:
    """Return a line in which replies and tool calls have numbers."""
    for number, speech in enumerate(_speeches, start=1):
        line = line.replace(speech, str(number))
    return re.sub(r" \(call_\w+\)", "", line)


def _from_first(circle: list[str]) -> list[str]:
    """Return a circle from the same one of its waits on, whichever it was found from."""
    first = circle.index(min(circle))
    return circle[first:] + circle[:first]
