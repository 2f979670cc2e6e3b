"""The stage that the scenarios are played on: sessions with a scripted model, and what happens in them, in order.

It belongs to the whole process, in which one scenario is played after the other. An agent of a scenario notes by
``step`` and ``note`` what happens to it. The outcome depends on that alone, and on what is left in the event loop that
could still call anything, and on nothing of detection.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Callable, TypeVar

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm
from recorder import record
from virtual_time import VirtualTimeLoop

import onenter_deadlock_fix
from onenter_deadlock_fix.verify import agents
from onenter_deadlock_fix.verify.scripted_model import Answer, Script, ScriptedLLM, ToolCall, cue

from . import Scenario, agent_scenarios

sessions: list[AgentSession[Any]] = []  # in the order of their start

T = TypeVar("T")
Outcome = dict[str, Any]
Model = Callable[[Script], Any]  # the class of one
OUTCOME = ("ended", "waits", "steps", "agent", "chat")  # what happened, apart from what detection makes of it

# What the model answers: by the text of the last message (a new agent's instructions are one), or by the name of the
# tool whose output came last. It has no other answer.
ANSWERS: dict[str, Answer] = {
    "desk": [ToolCall("collect")],
    "collect": "Thank you.",
    "name": [ToolCall("give_name")],
}


class Name(AgentTask[str]):
    """An AgentTask that a tool of its own completes."""

    def __init__(self, instructions: str = "name", **options: Any) -> None:
        super().__init__(instructions=instructions, **options)

    async def on_enter(self) -> None:
        step("Name.on_enter")
        self.session.generate_reply()

    @function_tool
    async def give_name(self) -> None:
        complete(self, "Ada")

    async def on_exit(self) -> None:
        step("Name.on_exit")


class Lobby(Agent):
    """An agent that waits for the user."""

    def __init__(self, instructions: str = "lobby") -> None:
        super().__init__(instructions=instructions)


class Counter(Lobby):
    """An agent whose tool awaits an AgentTask."""

    Task: Callable[[], Any] = Name

    @function_tool
    async def collect(self) -> Any:
        self.tool = asyncio.current_task()
        return await note("collect", self.Task())  # collect awaits its AgentTask here


class Desk(Counter):
    """An agent with the pattern: its on_enter awaits a reply, whose tool awaits an AgentTask."""

    def __init__(self, task: Callable[[], Any] | None = None) -> None:
        super().__init__("desk")
        self.Task = task or self.Task

    async def on_enter(self) -> None:
        self.entering = asyncio.current_task()
        await note("Desk.on_enter", reply(self.session))


def step(what: str) -> None:
    """Note what has just happened."""
    _steps.append(what)
    _step(what).set()


async def note(who: str, awaitable: Awaitable[T]) -> T:
    """Await something, and note that, and how it came out."""
    step(f"{who} awaits")
    what = getattr(awaitable, "__name__", type(awaitable).__name__)
    waiting = (who, what, sys._getframe(1).f_code.co_name)  # the function of the scenario that awaits it
    _waiting.append(waiting)
    try:
        result = await awaitable  # note
    except BaseException as error:
        step(f"{who} gets {type(error).__name__}")
        raise
    finally:
        _waiting.remove(waiting)
    step(f"{who} goes on" if result is None else f"{who} gets {result}")
    return result


def waits() -> list[str]:
    """Return who awaits what, of what was noted."""
    return [f"{who} awaits {what}" for who, what, _ in _waiting]


def steps_taken() -> int:
    return len(_steps)


async def happens(what: str) -> None:
    """Wait for a step."""
    await _step(what).wait()


async def quiet() -> None:
    """Wait until nothing moves any more."""
    seen = -1
    while seen != len(_steps):
        seen = len(_steps)
        await asyncio.sleep(_QUIET)


async def start(
    agent: Agent, answers: Mapping[str, Answer] | None = None, model: Model = ScriptedLLM, **options: Any
) -> AgentSession[Any]:
    """Start the scenario's session, whose model gives these answers besides those of every scenario."""
    start = options.pop("start", {})
    options = {"vad": None, "turn_detection": None, **options}  # from 1.6.1 on there are models for both without that
    session: AgentSession[Any] = AgentSession(llm=model(script(answers)), **options)
    sessions.append(session)
    session.on("speech_created", lambda event: _speeches.append(event.speech_handle.id))
    session.on("conversation_item_added", _on_item_added)
    await session.start(agent, **start)
    return session


def script(answers: Mapping[str, Answer] | None = None) -> Script:
    """Return the script with these answers besides those of every scenario."""
    known = {**ANSWERS, **(answers or {})}

    def answer(chat_ctx: llm.ChatContext) -> Answer:
        last = cue(chat_ctx)
        return known.get(last.tool or last.text, "")

    return answer


async def reply(session: AgentSession[Any], *args: Any, **kwargs: Any) -> None:
    """Await a reply, as ``await session.generate_reply()`` does, and return nothing."""
    await session.generate_reply(*args, **kwargs)


def complete(task: AgentTask[Any], result: Any) -> None:
    step(f"{type(task).__name__} completes")
    agents.complete(task, result)


def play(scenario: Scenario, *, patience: float = 1.0, at_the_end: Callable[[], None] = lambda: None) -> Outcome:
    """Play a scenario, close its sessions, and return what happened, with nothing random in it.

    ended: ``completed``, ``hangs`` or ``error: ...``; it hangs when no step was taken for ``patience`` seconds and
        nothing was left meanwhile that could lead to one. Detection has to check several times in these.
    waits: who had begun to await what, as noted, and was still waiting for it where it ended.
    steps: what has happened, in order.
    agent, chat: the last agent and its chat context, before its session was closed.

    And what detection makes of it: its ``log``, and where it hangs the ``cycle`` that it finds, and the functions of
    the scenario that are ``waiting``. ``at_the_end`` is called in the event loop, before anything is undone.
    """
    for what in (sessions, _steps, _waiting, _awaited, _speeches, _left):  # of another play in this process
        what.clear()
    loop = VirtualTimeLoop()
    # not asyncio.run(), which would wait for tasks that hang
    outcome: Outcome = loop.run_until_complete(_play(scenario, patience, at_the_end))
    _left_behind.append(asyncio.all_tasks(loop))
    return outcome


def play_with(scenario: Scenario, mode: str, *, fix: bool = True) -> Outcome:
    """Play a scenario in a mode of detection, which checks very soon, with the fix or without."""
    if not fix:
        onenter_deadlock_fix.deactivate()
    onenter_deadlock_fix.detect(mode, after=0.05)
    return play(scenario)


async def _play(scenario: Scenario, patience: float, at_the_end: Callable[[], None]) -> Outcome:
    log: list[dict[str, Any]] = []
    recorder = record(on_record=lambda record: log.append(_in_short(record)))
    performance = asyncio.ensure_future(_perform(scenario))
    ending = asyncio.ensure_future(_nothing_can_happen(patience))
    await asyncio.wait([performance, ending], return_when=asyncio.FIRST_COMPLETED)
    at_the_end()
    outcome: Outcome = {"ended": "completed", "waits": waits()}
    if not performance.done():
        outcome["ended"] = "hangs"
        outcome["cycle"] = _cycle()
        outcome["waiting"] = [function for *_, function in _waiting]
    elif performance.exception():
        outcome["ended"] = f"error: {performance.exception()!r}"
    recorder.stop()
    return {**outcome, "steps": list(_steps), **_left, "log": log}


def performance(program: Any, **arguments: Any) -> Coroutine[Any, Any, Any]:
    """Return the coroutine of a program or a scenario."""
    if isinstance(program, type):
        return _perform_agent(program, **agent_scenarios[program])
    coroutine: Coroutine[Any, Any, Any] = program(**arguments)
    return coroutine


async def _perform(scenario: Scenario) -> None:
    await performance(scenario)
    await quiet()
    for session in sessions:
        _left["agent"] = type(session.current_agent).__name__
        _left["chat"] = [*filter(None, map(_line, _chat(session).items))]
        await note("closing the session", session.aclose())


async def _perform_agent(
    agent: type[Agent],
    answers: Mapping[str, Answer] | None = None,
    until: str | None = "Desk.on_enter goes on",
    user: str | None = None,
    model: Model = ScriptedLLM,
) -> None:
    """Start a session with the agent, and wait for a step or until nothing moves; or for the reply to the user."""
    session = await start(agent(), answers, model)
    if user:
        await note("the user", reply(session, user_input=user))
    elif until:
        await happens(until)
    else:
        await quiet()


_QUIET = 0.12  # seconds of the loop's time, as all are here
_LIMIT = 60.0  # seconds without a step, whatever timers are left
_steps: list[str] = []
_waiting: list[tuple[str, str, str]] = []
_awaited: dict[str, asyncio.Event] = {}
_speeches: list[str] = []
_left: Outcome = {}
_left_behind: list[set[asyncio.Task[Any]]] = []  # of plays that are over: what waits for ever isn't ended by being lost


def _step(what: str) -> asyncio.Event:
    return _awaited.setdefault(what, asyncio.Event())


async def _nothing_can_happen(patience: float) -> None:
    """Wait until no step has been taken for a while, and nothing was left meanwhile that could lead to one.

    That is a thread, a socket or a timer; but detection has one as long as anything waits.
    """
    loop: Any = asyncio.get_running_loop()

    def nothing_is_left() -> bool:
        callbacks = (getattr(timer._callback, "__module__", None) or "" for timer in loop.timers())
        return loop.is_alone() and all(module.startswith("onenter_deadlock_fix.") for module in callbacks)

    seen, since = -1, 0.0
    while True:
        if seen != len(_steps):
            seen, since = len(_steps), loop.time()
        nothing_was_left = nothing_is_left()
        await asyncio.sleep(patience)
        over = (nothing_was_left and nothing_is_left()) or loop.time() - since >= _LIMIT
        if over and seen == len(_steps):
            return


def _cycle() -> list[str]:
    from onenter_deadlock_fix import detection

    try:
        return [_without_chance(wait) for wait in detection.cycle()]
    except Exception as error:
        return [f"error: {error!r}"]


def _in_short(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record says, with nothing random in it, and after how many steps."""
    data = next((vars(record)[kind] for kind in ("deadlock", "release", "wait") if kind in vars(record)), {})
    waits = data.get("waits", [])
    return {
        "level": record.levelname,
        "after": steps_taken(),
        "says": _without_chance(record.getMessage().splitlines()[0]),
        "waits": [_without_chance(f"{wait['name']} waits for {wait.get('waits_for')}") for wait in waits],
        # whether those that have a line of a scenario's are logged with one
        "lines": [str(_SCENARIOS) in str(wait) for wait in waits if wait["role"] in _HAVE_LINES],
    }


def _chat(session: AgentSession[Any]) -> llm.ChatContext:
    """Return the last agent's chat context; in 2.0.0b1 that is the session's, and nobody else may ask for it."""
    try:
        return session.current_agent.chat_ctx
    except RuntimeError:
        return session.history


def _on_item_added(event: Any) -> None:
    if event.item.type == "message":  # handoffs are added too, from 1.4 on
        step(_line(event.item))


def _line(item: Any) -> str:
    """Return what was said or done, or an empty string for instructions and handoffs."""
    if item.type == "function_call":
        return f"calls {item.name}"
    if item.type == "function_call_output":
        return f"{item.name}: {item.output}"
    if item.type == "message" and item.role != "system":
        return f"{item.role}: {item.text_content}" + (" (interrupted)" if item.interrupted else "")
    return ""


_SCENARIOS = Path(__file__).parent
_HAVE_LINES = ("tool", "on_enter", "on_exit", "on_user_turn_completed")


def _without_chance(line: str) -> str:
    """Return a line in which replies have numbers, and tool calls and tasks have none."""
    for number, speech in enumerate(_speeches, start=1):
        line = line.replace(speech, str(number))
    return re.sub(r" \(call_\w+\)|(?<=\bTask)-\d+", "", line)
