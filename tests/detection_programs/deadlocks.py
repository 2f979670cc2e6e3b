"""Deadlocks of changes of the agent, and waits that are none."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable
from typing import Any, Callable

from cast import Desk, Name, entered, start
from livekit.agents import AgentSession, function_tool
from livekit.agents.voice import SpeechHandle


async def ask(desk: Desk, tool: str = "ask") -> None:
    """Wait for a reply that calls a tool."""
    session = await start(desk)
    await session.generate_reply(user_input=tool)


async def hang(desk: Desk, seconds: float = 0.15) -> AgentSession[None]:
    """Have the tool ``ask`` called, and let it wait for some time."""
    session = await start(desk)
    session.generate_reply(user_input="ask")
    await asyncio.sleep(seconds)
    return session


async def waiting_for(awaitable: Awaitable[Any]) -> Any:
    """Await in a function of the program's own, which a task can be made of."""
    return await awaitable


def asking(wait: Callable[[Desk], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Make a program of the way in which the tool ``ask`` waits."""

    @functools.wraps(wait)
    async def program() -> None:
        await ask(Desk(wait))

    return program


async def nested() -> None:
    """A tool awaits a reply whose tool awaits an AgentTask."""
    await ask(Desk(Desk.inner))


async def pattern(tool: str = "collect") -> None:
    """on_enter awaits a reply; its tool awaits an AgentTask (``collect``), or a reply whose tool does (``ask``)."""

    class EagerDesk(Desk):
        async def on_enter(self) -> None:
            await self.session.generate_reply(user_input=tool)  # on_enter waits here

    await entered(EagerDesk(Desk.inner))


async def quick() -> None:
    """A handoff that nothing delays."""
    await ask(Desk(), "collect")


@asking
async def slow(desk: Desk) -> None:
    """A handoff waits for a tool that takes its time."""
    desk.session.generate_reply(user_input="collect", tool_choice="auto")
    await asyncio.sleep(0.6)  # ask sleeps here


@asking
async def helper(desk: Desk) -> None:
    """The tool awaits a helper task, which awaits a reply whose tool awaits an AgentTask."""
    await asyncio.create_task(desk.inner(), name="my helper")  # ask waits for its helper here


@asking
async def wide(desk: Desk) -> None:
    """A hundred helpers of the tool await a reply whose tool awaits an AgentTask."""
    reply = desk.session.generate_reply(user_input="collect", tool_choice="auto")
    await asyncio.gather(*(waiting_for(reply) for _ in range(100)))  # ask waits for a hundred here


@asking
async def twice(desk: Desk) -> None:
    """The same deadlock again after the first one has been released."""
    await desk.inner()
    await desk.inner()


@asking
async def tried_again_and_again(desk: Desk) -> None:
    """The tool gives up the reply that it waits for, and waits for it again, in a task of wait_for()'s each time."""
    reply = desk.session.generate_reply(user_input="collect", tool_choice="auto")
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(waiting_for(reply), 0.7)


async def mixed() -> None:
    """A handoff waits for a reply that waits for it, and for another one that takes its time."""
    events: list[str] = []

    class Slow(Desk):
        @function_tool
        async def look_up(self) -> None:
            await asyncio.sleep(1)
            events.append("look_up is done")

        @function_tool
        async def collect(self) -> None:
            await Name()
            events.append("collect goes on")

    session = await start(Slow(Desk.inner))
    session.generate_reply(user_input="look_up")
    await session.generate_reply(user_input="ask")
    assert events == ["look_up is done", "collect goes on"], events


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


@asking
async def changing(desk: Desk) -> None:
    """update_agent() waits for a tool that then awaits an AgentTask."""
    desk.session.update_agent(Desk())
    await asyncio.sleep(0.1)
    await Name()


async def two_at_once() -> None:
    """Two replies at the same time have a tool each that awaits an AgentTask."""
    session = await start(Desk())
    replies = [session.generate_reply(user_input="collect") for _ in range(2)]
    await asyncio.gather(*(reply.wait_for_playout() for reply in replies))


async def behind_another_one() -> None:
    """A handoff waits for itself, and its reply's tool for the deadlock of another session besides."""
    session = await start(Desk(Desk.inner))
    other = session.generate_reply(user_input="ask")
    await asyncio.sleep(0)

    async def wait_for_both(desk: Desk) -> None:
        await asyncio.gather(desk.inner(), other.wait_for_playout())

    await ask(Desk(wait_for_both))


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
