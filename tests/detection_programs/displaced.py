"""An AgentTask that another agent has displaced: no turn of the user reaches it, but whoever has it may complete it."""

from __future__ import annotations

import asyncio
from typing import Any

from cast import Ask, Desk, Lobby, start
from livekit.agents import function_tool
from own_awaitable import Own

from onenter_deadlock_fix.verify.agents import complete


class Asking(Desk):
    """Awaits an AgentTask in a tool, which its method ``awaited`` has made."""

    async def awaited(self) -> Ask:
        return Ask()

    @function_tool
    async def collect(self) -> str:
        return await (await self.awaited())  # collect awaits Ask here


async def _replaced(agent: Asking) -> Any:
    session = await start(agent)
    speech = session.generate_reply(user_input="collect")
    await asyncio.sleep(0.1)
    session.update_agent(Lobby())
    return speech


async def nobody_completes_it() -> None:
    await (await _replaced(Asking()))


async def timer_completes_it() -> None:
    class Timed(Asking):
        async def awaited(self) -> Ask:
            ask = Ask()
            asyncio.get_running_loop().call_later(3, complete, ask, "42")
            return ask

    await (await _replaced(Timed()))


async def helper_of_its_own_completes_it() -> None:
    class Helped(Ask):
        async def on_enter(self) -> None:
            self.helper = asyncio.create_task(self.later())

        async def later(self) -> None:
            await asyncio.sleep(3)
            complete(self, "42")

    class Helping(Asking):
        async def awaited(self) -> Ask:
            return Helped()

    await (await _replaced(Helping()))


async def is_awaited_by_an_awaitable_of_the_users() -> None:
    """An AgentTask is awaited in one, and its tool awaits another in an awaitable of the user's."""

    class Outer(Ask):
        async def on_enter(self) -> None:
            self.session.generate_reply(user_input="inner")

        @function_tool
        async def inner(self) -> str:
            return str(await Own(Ask()))

    class Asks(Asking):
        async def awaited(self) -> Ask:
            return Outer()

    session = await start(Asks())
    await session.generate_reply(user_input="collect")
