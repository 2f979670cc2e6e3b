"""The cast of the programs that tests play: a scripted model, agents and AgentTasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Callable

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm

from onenter_deadlock_fix.verify.agents import complete
from onenter_deadlock_fix.verify.scripted_model import Answer, ScriptedLLM, ToolCall, cue


def script(chat_ctx: llm.ChatContext) -> Answer:
    """Call the tool that the user names, and say so when it is over."""
    last = cue(chat_ctx)
    if last.tool:
        return f"{last.tool} is done."
    return [ToolCall(last.text)] if last.role == "user" else ""


class Name(AgentTask[str]):
    """An AgentTask that completes as soon as it is there."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        complete(self, "Ada")


class Ask(AgentTask[str]):
    """An AgentTask that the user's next turn completes."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    @function_tool
    async def answer(self) -> None:
        complete(self, "42")


class Lobby(Agent):
    """Does nothing of itself."""

    def __init__(self) -> None:
        super().__init__(instructions="")


class Desk(Agent):
    """A tool for each way to wait."""

    def __init__(self, wait: Callable[[Desk], Awaitable[Any]] | None = None) -> None:
        super().__init__(instructions="")
        self.wait = wait

    @function_tool
    async def collect(self) -> str:
        await asyncio.sleep(0)  # livekit-agents marks its task as a tool's only when it waits, if tasks are eager
        return await Name()  # collect waits here

    @function_tool
    async def ask(self) -> str:
        assert self.wait
        await self.wait(self)  # ask calls here
        return "asked"

    async def inner(self) -> None:
        await self.session.generate_reply(user_input="collect", tool_choice="auto")  # ask waits here


async def start(agent: Agent) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(script))
    await session.start(agent)
    return session


async def entered(agent: Agent) -> None:
    """Start a session and wait until on_enter is over."""
    await start(agent)
    await agent._get_activity_or_raise()._on_enter_task  # type: ignore[misc]


async def some_time() -> None:
    """Wait long enough for everything to have come to where it hangs."""
    await asyncio.sleep(0.15)
