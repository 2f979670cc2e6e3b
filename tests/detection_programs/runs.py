"""Waits of session.run() that go on, and two closes of a session at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cast import Desk, Lobby, Name, some_time, start
from speaker import Speaker, sound


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
