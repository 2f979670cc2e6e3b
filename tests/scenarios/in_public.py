"""Hangs that were reported in public, each as small as it gets; some are elsewhere, by what they are about.

``cancelled_as_the_agent_task_is_entered`` is livekit/agents #6842, ``the_agent_changes_while_the_tool_is_busy``
livekit/agents-js #2483, and ``the_pattern`` livekit/agents #4109.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, function_tool
from speaker import Speaker, sound
from turns import preemptive_generation, user_has_spoken, user_is_speaking

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .cut_short import ASKS
from .stage import Counter, Desk, Lobby, Name, complete, happens, note, quiet, reply, sessions, start, step
from .upstream import BOTH, Greedy, run
from .waits import LONG


@scenario(reported="it is the close that waits, and nothing is released in a close")
async def closed_before_on_enter_awaits_an_agent_task() -> None:
    """The session is closed while on_enter is about to await an AgentTask (livekit/agents #4730, #6071)."""

    class Busy(Lobby):
        async def on_enter(self) -> None:
            step("Busy.on_enter")
            await quiet()
            await note("Busy.on_enter", Name())  # on_enter awaits Name here

    session = await start(Busy())
    await happens("Busy.on_enter")
    await note("close", session.aclose())


@scenario(user="desk", reported="it is the close that waits, and nothing is released in a close")
class on_enter_of_the_agent_task_closes_the_session(Counter):
    """on_enter of the AgentTask awaits session.aclose()."""

    class Task(Name):
        async def on_enter(self) -> None:
            await note("Task.on_enter", self.session.aclose())  # on_enter closes here


@scenario(long_wait="anybody may set an event of the user's")
async def closed_while_on_enter_of_the_agent_task_waits_for_an_event() -> None:
    """The room goes, and with it what on_enter of the AgentTask waits for (livekit/agents #5035)."""

    class Waiting(Name):
        async def on_enter(self) -> None:
            await note("Waiting.on_enter", asyncio.Event().wait())

    session = await start(Desk(Waiting))
    await happens("Waiting.on_enter awaits")
    await quiet()
    await note("close", session.aclose())


@scenario(resolved=True)
async def a_tool_speaks_during_the_hand_over() -> None:
    """session.say() fails during a handoff, and leaves a speech that nothing schedules (livekit/agents-js #2373)."""

    class Busy(Counter):
        @function_tool
        async def look_up(self) -> str:
            await happens("collect awaits")
            await quiet()
            with contextlib.suppress(RuntimeError):
                self.session.say("Found it.")
            return "found"

    session = await start(Busy(), {"look it up": [ToolCall("look_up")], "look_up": "Nothing found."})
    session.generate_reply(user_input="look it up")
    await quiet()
    await note("the user", reply(session, user_input="desk"))


class Patient(Counter):
    """Its tool awaits an AgentTask when a reply that was queued meanwhile has been interrupted."""

    @function_tool
    async def collect(self) -> str:
        await happens("the queued reply is interrupted")
        await quiet()
        return await note("collect", Name())


async def play_interrupted(session: AgentSession[Any], *before: AsyncIterator[str]) -> None:
    """Have a reply queued, behind these words, and interrupted there, while the tool of another one waits for that."""
    asked = asyncio.ensure_future(note("the user", reply(session, user_input="desk")))
    await quiet()
    for words in before:
        session.say(words)
    queued = session.generate_reply(user_input="Hello?")
    await quiet()
    queued.interrupt()
    step("the queued reply is interrupted")
    await asked


@scenario(resolved=True)
async def a_reply_is_interrupted_in_the_queue() -> None:
    """A reply is interrupted while it is queued, and is scheduled all the same (livekit/agents #3169)."""

    async def words() -> AsyncIterator[str]:
        yield "One moment."
        await happens("the queued reply is interrupted")
        await quiet()

    await play_interrupted(await start(Patient()), words())


@scenario(resolved=True)
async def a_reply_is_interrupted_in_the_delay_before_it() -> None:
    """A reply is interrupted in the delay before it, and is waited for all the same (livekit/agents #3496)."""
    await play_interrupted(await start(Patient(), min_consecutive_speech_delay=LONG))


async def park(caller_goes_on: bool = False) -> None:
    """Have a tool await an AgentTask while a preemptive generation is parked, and the caller go on to speak or not."""
    session = await start(Counter(), **preemptive_generation())
    activity: Any = session._activity
    user_is_speaking(activity, "hello")
    speech = session.generate_reply(user_input="", allow_interruptions=False)  # the agent speaks over it
    user_has_spoken(activity, "hello")
    await speech
    assert activity._preemptive_generation is not None
    if caller_goes_on:
        asyncio.get_running_loop().call_later(1, user_has_spoken, activity, "goodbye")
    await note("the user", reply(session, user_input="desk", tool_choice="auto"))


@scenario(long_wait="a turn of the user ends it")
async def a_preemptive_generation_is_parked() -> None:
    """A tool awaits an AgentTask while a preemptive generation is parked (livekit/agents #6858)."""
    await park()


@scenario(user="desk", resolved=True)
class a_tool_speaks_until_it_is_over(Counter):
    """A tool has session.say() speak until the tool is over, and awaits an AgentTask."""

    async def words(self, tool: Any) -> AsyncIterator[str]:
        yield "One moment."
        await asyncio.wait([tool])  # the words wait here

    @function_tool
    async def collect(self) -> str:
        self.session.say(self.words(asyncio.current_task()))
        await quiet()
        return await note("collect", Name())  # collect awaits Name here


class Left(Lobby):
    async def on_enter(self) -> None:
        step("Left.on_enter")


@scenario(long_wait="it is not known who plays")
async def a_playout_never_ends() -> None:
    """session.update_agent() waits for a speech, whose playout never ends (livekit/agents #5497)."""
    session = await start(Lobby())
    session.output.audio = Speaker(None)
    session.say("Goodbye.", audio=sound(), allow_interruptions=False)
    await quiet()
    session.update_agent(Left())
    await happens("Left.on_enter")


class Asking(Lobby):
    """Its on_enter awaits an AgentTask that the user's next turn completes."""

    async def on_enter(self) -> None:
        await note("Asking.on_enter", Name())  # on_enter awaits Name, which needs a turn, here


class Porter(Lobby):
    @function_tool
    async def show_in(self) -> str:
        self.session.update_agent(Asking())
        return "come in"


@scenario(long_wait="a turn of the user ends it")
async def run_waits_for_the_next_turn_of_an_agent_that_is_entered() -> None:
    """session.run() waits for update_agent(), and that for an AgentTask of on_enter (livekit/agents #6500)."""
    session = await start(Porter(), {"come in": [ToolCall("show_in")], "show_in": "Come in.", **ASKS})
    await note("the run", run(session, "come in"))  # the test runs here
    await note("the second run", run(session, "Ada."))


async def start_with_a_run(agent: Agent) -> None:
    await start(agent, ASKS, start={"capture_run": True})


@scenario
async def start_with_a_run_leaves_an_agent_task_to_the_next_turn() -> None:
    """session.start(capture_run=True) does not wait for an AgentTask of on_enter, which waits for the user."""
    await note("start", start_with_a_run(Asking()))
    await note("the run", run(sessions[0], "Ada."))


@scenario(long_wait="anybody may set an event of the user's")
async def start_with_a_run_waits_for_an_event() -> None:
    """session.start(capture_run=True) waits for on_enter of an AgentTask, and that for an event (#6332)."""

    class Waiting(Name):
        def __init__(self) -> None:
            super().__init__()
            self.given = asyncio.Event()

        async def on_enter(self) -> None:
            await note("Waiting.on_enter", self.given.wait())
            complete(self, "Ada")

        @function_tool
        async def give_name(self) -> None:
            self.given.set()

    class Desk(Lobby):
        async def on_enter(self) -> None:
            await note("Desk.on_enter", Waiting())

    await note("start", start_with_a_run(Desk()))
    await note("the run", run(sessions[0], "Ada."))


@scenario
async def runs_lead_to_a_third_agent_task() -> None:
    """session.run() leads to an AgentTask in an AgentTask in an AgentTask, a turn each (livekit/agents #5371)."""

    class Level(AgentTask[str]):
        def __init__(self, level: int) -> None:
            super().__init__(instructions=f"level {level}")
            self._level = level

        async def on_enter(self) -> None:
            await note(f"on_enter of level {self._level}", reply(self.session))

        @function_tool
        async def go_on(self) -> None:
            if self._level < 3:
                await note(f"level {self._level}", Level(self._level + 1))
            complete(self, f"level {self._level}")

    class Top(Lobby):
        @function_tool
        async def go_on(self) -> str:
            return await note("the top", Level(1))

    levels = {f"level {level}": f"This is level {level}." for level in (1, 2, 3)}
    session = await start(Top(), {"next": [ToolCall("go_on")], "go_on": "That was all.", **levels})
    for turn in range(1, 5):
        await note(f"run {turn}", run(session, "next"))


@scenario
async def run_waits_for_a_slow_tool() -> None:
    """session.run() waits for a reply, whose tool takes its time."""

    class Slow(Lobby):
        @function_tool
        async def collect(self) -> str:
            await asyncio.sleep(LONG)
            return "collected"

    await note("the run", run(await start(Slow()), "desk"))


@scenario(long_wait="other code may complete the first AgentTask")
async def two_tools_await_agent_tasks_that_need_the_user() -> None:
    """Two tools of one reply await an AgentTask each, and no turn reaches the first one (livekit/agents #6862)."""
    session = await start(Greedy(), {**BOTH, **ASKS})
    asked = asyncio.ensure_future(note("the user", reply(session, user_input="desk")))
    await quiet()
    for _ in range(2):
        await note("the user's answer", reply(session, user_input="Ada."))
        await quiet()
    await asked
