"""Hangs that were reported in public, each as small as it gets; the docstrings have the issue or pull request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from cast import Desk, Lobby, Name, script, some_time, start
from livekit.agents import AgentSession, AgentTask, function_tool
from speaker import Speaker, sound
from turns import preemptive_generation, user_has_spoken, user_is_speaking

from onenter_deadlock_fix.verify.agents import complete
from onenter_deadlock_fix.verify.scripted_model import ScriptedLLM


class Ask(AgentTask[str]):
    """An AgentTask that the user's next turn completes."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    @function_tool
    async def answer(self) -> None:
        """Completes it."""
        complete(self, "42")


async def say_while_paused() -> None:
    """livekit/agents-js #2373: session.say() raises during a handoff, but has made a speech that nobody schedules."""

    class Busy(Desk):
        @function_tool
        async def look_up(self) -> str:
            """Speaks when the handoff has begun."""
            await some_time()
            with contextlib.suppress(RuntimeError):
                await self.session.say("Found it.")
            return "found"

    session = await start(Busy())
    session.generate_reply(user_input="look_up")
    await asyncio.sleep(0.05)
    await session.generate_reply(user_input="collect")


async def parked(caller_goes_on: bool) -> None:
    """livekit/agents #6858: a preemptive generation is parked when a tool awaits an AgentTask."""
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(script), **preemptive_generation())
    await session.start(Desk())
    activity = session.current_agent._get_activity_or_raise()
    user_is_speaking(activity, "hello")
    speech = session.generate_reply(user_input="", allow_interruptions=False)  # the agent speaks over it
    user_has_spoken(activity, "hello")
    await speech
    assert activity._preemptive_generation is not None
    reply = session.generate_reply(user_input="collect", tool_choice="auto")
    if caller_goes_on:
        await asyncio.sleep(1)
        user_has_spoken(activity, "goodbye")
    await reply


async def on_enter_closes_session() -> None:
    """livekit/agents #5035: on_enter of an AgentTask awaits session.aclose()."""

    class Closing(Name):
        async def on_enter(self) -> None:
            await self.session.aclose()  # on_enter closes here

    class Host(Desk):
        @function_tool
        async def collect(self) -> str:
            """Hands over."""
            return await Closing()  # collect awaits Closing here

    session = await start(Host())
    await session.generate_reply(user_input="collect")


async def run_and_update_agent() -> None:
    """livekit/agents #6500: session.run() while on_enter of a new agent awaits an AgentTask that needs a turn."""

    class New(Lobby):
        async def on_enter(self) -> None:
            await Ask()  # on_enter awaits Ask here

    async def wait(desk: Desk) -> None:
        desk.session.update_agent(New())

    session = await start(Desk(wait))
    await session.run(user_input="ask")  # the test runs here
    await session.run(user_input="answer")


async def run_with_a_slow_model() -> None:
    """session.run() while the model, or a tool, takes its time: nothing is wrong with that."""

    async def wait(_: Desk) -> None:
        await asyncio.sleep(2)

    session = await start(Desk(wait))
    await session.run(user_input="ask")


async def run_with_slow_words() -> None:
    """session.run() while the user's own code takes its time to find the words of a say()."""

    async def words() -> AsyncIterator[str]:
        await asyncio.sleep(2)
        yield "here they are"

    async def wait(desk: Desk) -> None:
        desk.session.say(words())

    session = await start(Desk(wait))
    await session.run(user_input="ask")


async def run_with_a_long_playout() -> None:
    """session.run() while the answer is being played."""

    async def wait(desk: Desk) -> None:
        desk.session.say("Here they are.", audio=sound())

    session = await start(Desk(wait))
    session.output.audio = Speaker(2)
    await session.run(user_input="ask")


async def run_with_a_moment_of_on_enter() -> None:
    """session.run() whose tool takes its time, and then on_enter of an AgentTask does for a moment."""

    class Entering(Name):
        async def on_enter(self) -> None:
            await asyncio.sleep(0.18)  # there is a look each 0.2 s, and one in this moment
            await super().on_enter()

    async def wait(_: Desk) -> None:
        await asyncio.sleep(0.5)
        await Entering()

    session = await start(Desk(wait))
    await session.run(user_input="ask")


async def close_before_await() -> None:
    """livekit/agents #4730, pull request #6071: the session closes while on_enter is about to await an AgentTask."""

    class Host(Lobby):
        async def on_enter(self) -> None:
            await some_time()
            await Name()  # on_enter awaits Name here

    session = await start(Host())
    await asyncio.sleep(0.05)
    await session.aclose()


async def filler() -> None:
    """A tool has session.say() speak until the tool is over, and awaits its AgentTask meanwhile: on every release."""

    class Talking(Desk):
        @function_tool
        async def collect(self) -> str:
            """Hands over."""
            tool = asyncio.current_task()
            assert tool

            async def words() -> AsyncIterator[str]:
                yield "One moment."
                await asyncio.wait([tool])  # the words wait here
                yield "Here we are."

            self.session.say(words())
            await some_time()
            return await Name()  # collect awaits Name here

    session = await start(Talking())
    await session.generate_reply(user_input="collect")


async def closed_twice_at_once() -> None:
    """Two tasks close the session while on_enter takes its time."""

    class Host(Lobby):
        async def on_enter(self) -> None:
            await asyncio.sleep(2)

    session = await start(Host())
    await some_time()
    await asyncio.gather(session.aclose(), session.aclose())


async def closed_by_own_tool() -> None:
    """A tool awaits session.aclose(), which waits for the reply of that tool."""

    async def wait(desk: Desk) -> None:
        await desk.session.aclose()  # ask closes here

    session = await start(Desk(wait))
    await session.generate_reply(user_input="ask")
