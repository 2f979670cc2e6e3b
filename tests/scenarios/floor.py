"""Tools hold the floor (``RunContext.foreground()``), by 1.7.0. On a release that has no floor, nothing happens."""

from __future__ import annotations

import asyncio

from livekit.agents import RunContext, function_tool

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Lobby, Name, note, quiet, reply, start

_THERE_IS_A_FLOOR = hasattr(RunContext, "foreground")


class Holding(Lobby):
    """Its tool ``first`` holds the floor around an AgentTask, and ``second`` does after that."""

    @function_tool
    async def first(self, context: RunContext) -> str:  # type: ignore[type-arg]
        """Comes first."""
        async with context.foreground():  # type: ignore[attr-defined]
            await quiet()
            return await note("first", Name())

    @function_tool
    async def second(self, context: RunContext) -> str:  # type: ignore[type-arg]
        """Comes second."""
        await note("second", asyncio.sleep(0))
        async with context.foreground():  # type: ignore[attr-defined]
            return await note("second", Name())


@scenario(resolved=True)
async def tools_of_two_replies_hold_the_floor() -> None:
    """The tools of two replies hold the floor (RunContext.foreground(), by 1.7.0), each around an AgentTask."""
    if _THERE_IS_A_FLOOR:
        session = await start(Holding(), {"one": [ToolCall("first")], "two": [ToolCall("second")]})
        first = asyncio.ensure_future(reply(session, user_input="one"))
        await asyncio.sleep(0.05)
        await note("the second reply", reply(session, user_input="two"))
        await note("the first reply", first)
