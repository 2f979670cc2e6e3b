"""Deadlocks of changes of the agent, and waits that are none."""

from __future__ import annotations

import asyncio
import contextlib

from cast import Desk, Name, start
from livekit.agents import AgentSession, function_tool, llm
from livekit.agents.voice import SpeechHandle

import onenter_deadlock_fix
from onenter_deadlock_fix.verify.scripted_model import Answer, ScriptedLLM, ToolCall, cue


class EagerDesk(Desk):
    async def on_enter(self) -> None:
        await self.session.generate_reply(user_input="collect")  # on_enter waits here


async def nested() -> None:
    """A tool awaits a reply whose tool awaits an AgentTask."""
    session = await start(Desk(Desk.inner))
    await session.generate_reply(user_input="ask")


async def pattern() -> None:
    """on_enter awaits a reply whose tool awaits an AgentTask."""
    desk = EagerDesk()
    await start(desk)
    await desk._get_activity_or_raise()._on_enter_task  # type: ignore[misc]


async def pattern_and_nested() -> None:
    """on_enter awaits a reply whose tool awaits a reply, and the tool of that awaits an AgentTask."""

    class Asking(Desk):
        async def on_enter(self) -> None:
            await self.session.generate_reply(user_input="ask")

    desk = Asking(Desk.inner)
    await start(desk)
    await desk._get_activity_or_raise()._on_enter_task  # type: ignore[misc]


async def helper() -> None:
    """A tool awaits a helper task, which awaits a reply whose tool awaits an AgentTask."""

    async def wait(desk: Desk) -> None:
        await asyncio.create_task(desk.inner(), name="my helper")  # ask waits for its helper here

    session = await start(Desk(wait))
    await session.generate_reply(user_input="ask")


async def slow() -> None:
    """A handoff waits for a tool that takes its time."""

    async def wait(desk: Desk) -> None:
        desk.session.generate_reply(user_input="collect", tool_choice="auto")
        await asyncio.sleep(0.6)  # ask sleeps here

    session = await start(Desk(wait))
    await session.generate_reply(user_input="ask")


async def timed() -> None:
    """A tool gives a reply, whose tool awaits an AgentTask, a time-out."""

    async def wait(desk: Desk) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(desk.session.generate_reply(user_input="collect", tool_choice="auto"), 0.6)

    session = await start(Desk(wait))
    await session.generate_reply(user_input="ask")


async def quick() -> None:
    """A handoff that nothing holds up."""
    session = await start(Desk())
    await session.generate_reply(user_input="collect")


async def twice() -> None:
    """The same deadlock again after the first one was let go."""

    async def wait(desk: Desk) -> None:
        await desk.inner()
        await desk.inner()

    session = await start(Desk(wait))
    await session.generate_reply(user_input="ask")


async def mixed() -> None:
    """A handoff waits for a reply that waits for it, and for another one that takes its time."""
    events: list[str] = []

    class Slow(Desk):
        @function_tool
        async def look_up(self) -> str:
            await asyncio.sleep(1)
            events.append("look_up is done")
            return "found"

        @function_tool
        async def collect(self) -> str:
            name = await Name()
            events.append("collect goes on")
            return name

    session = await start(Slow(Desk.inner))
    session.generate_reply(user_input="look_up")
    await session.generate_reply(user_input="ask")
    assert events == ["look_up is done", "collect goes on"], events


async def wide() -> None:
    """A hundred helpers of a tool await a reply whose tool awaits an AgentTask."""

    async def wait(desk: Desk) -> None:
        asked = desk.session.generate_reply(user_input="collect", tool_choice="auto")

        async def helper() -> None:
            await asked

        await asyncio.gather(*(helper() for _ in range(100)))  # ask waits for a hundred here

    await (await start(Desk(wait))).generate_reply(user_input="ask")


async def times_out_in_the_agent_task() -> None:
    """A tool gives up a reply while the AgentTask of that is there, and the next handoff comes after all that."""

    class Later(Name):
        async def on_enter(self) -> None:
            await asyncio.sleep(1.5)
            await super().on_enter()

    class Hurried(Desk):
        @function_tool
        async def collect(self) -> str:
            return await Later()

    async def wait(desk: Desk) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(desk.inner(), 1)

    session = await start(Hurried(wait))
    await session.generate_reply(user_input="ask")
    await asyncio.sleep(3)
    await session.generate_reply(user_input="collect")


async def closing() -> None:
    """on_exit awaits a reply whose tool awaits an AgentTask, as the session is drained."""

    class Leaving(Desk):
        async def on_exit(self) -> None:
            await self.inner()

    session = await start(Leaving())
    await session.drain()


async def changing() -> None:
    """update_agent() waits for a tool that then awaits an AgentTask."""

    async def wait(desk: Desk) -> None:
        desk.session.update_agent(Desk())
        await asyncio.sleep(0.1)
        await Name()

    session = await start(Desk(wait))
    await session.generate_reply(user_input="ask")


async def two_at_once() -> None:
    """Two replies at the same time have a tool each that awaits an AgentTask."""
    session = await start(Desk())
    first = session.generate_reply(user_input="collect")
    second = session.generate_reply(user_input="collect")
    await asyncio.gather(first.wait_for_playout(), second.wait_for_playout())


async def second_in_line() -> None:
    """One of two tools has the lock that on_enter of the other one's AgentTask waits for, and awaits an AgentTask."""
    lock = asyncio.Lock()

    class Locked(Name):
        async def on_enter(self) -> None:
            await asyncio.sleep(0.05)
            async with lock:
                await super().on_enter()

    class Host(Desk):
        @function_tool
        async def collect(self) -> str:
            return await Locked()

    async def wait(_: Desk) -> None:
        async with lock:
            await asyncio.sleep(0.02)
            await Name()

    def both(chat_ctx: llm.ChatContext) -> Answer:
        return [ToolCall("collect"), ToolCall("ask")] if cue(chat_ctx).role == "user" else ""

    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(both))
    await session.start(Host(wait))
    await session.generate_reply(user_input="both")


async def behind() -> None:
    """session.drain() waits for a tool that waits for itself, in a cycle in which nothing drains."""

    async def wait(desk: Desk) -> None:
        me = asyncio.current_task()
        assert me is not None
        await asyncio.create_task(asyncio.wait([me]))  # ask waits for itself here

    session = await start(Desk(wait))
    session.generate_reply(user_input="ask")
    await asyncio.sleep(0.1)
    await session.drain()  # drains here


async def behind_another_one() -> None:
    """A handoff waits for itself, and its reply's tool for the deadlock of another session besides."""
    sessions: list[AgentSession[None]] = []

    async def wait_for_both(desk: Desk) -> None:
        other = sessions[0].current_speech
        assert other is not None
        await asyncio.gather(desk.inner(), other.wait_for_playout())

    async def wait_for_the_inner_one(desk: Desk) -> None:
        await desk.inner()

    sessions.append(await start(Desk(wait_for_the_inner_one)))
    sessions[0].generate_reply(user_input="ask")
    await asyncio.sleep(0)
    await (await start(Desk(wait_for_both))).generate_reply(user_input="ask")


async def two_drains(begun_first: str) -> None:
    """A handoff in one session and session.drain() of another one wait for each other."""
    sessions: list[AgentSession[None]] = []
    handles: list[SpeechHandle] = []

    async def hand_over_and_drain(desk: Desk) -> None:
        if begun_first == "the handoff":
            handles.append(desk.session.generate_reply(user_input="collect", tool_choice="auto"))
            await asyncio.sleep(0.1)
        draining = asyncio.create_task(sessions[1].drain())
        if begun_first == "session.drain()":
            await asyncio.sleep(0.1)
            handles.append(desk.session.generate_reply(user_input="collect", tool_choice="auto"))
        await draining

    async def wait_for_the_hand_over(desk: Desk) -> None:
        while not handles:
            await asyncio.sleep(0.01)
        await handles[0]

    sessions.append(await start(Desk(hand_over_and_drain)))
    sessions.append(await start(Desk(wait_for_the_hand_over)))
    sessions[1].generate_reply(user_input="ask")
    await sessions[0].generate_reply(user_input="ask")


async def asked_for_later() -> None:
    """Detection is asked for when the handoff hangs already."""
    session = await start(Desk(Desk.inner))
    hanging = session.generate_reply(user_input="ask")
    await asyncio.sleep(0.5)
    assert not hanging.done()
    onenter_deadlock_fix.detect("resolve", after=0.1)
    await hanging
