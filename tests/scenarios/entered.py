"""The pattern in an agent that the session did not start with, and agents that change under an AgentTask."""

from __future__ import annotations

import asyncio

from livekit.agents import Agent, function_tool, llm

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Desk, Lobby, Name, complete, happens, note, quiet, reply, start, step


@scenario
async def entered_by_update_agent() -> None:
    """The agent with the pattern is entered by session.update_agent()."""
    session = await start(Lobby())
    session.update_agent(Desk())
    await happens("Desk.on_enter goes on")


@scenario(answers={"lobby": [ToolCall("show_in")]})
class entered_by_a_tool_of_a_reply_that_on_enter_awaits(Lobby):
    """on_enter awaits a reply whose tool returns the agent with the pattern."""

    async def on_enter(self) -> None:
        await note("Porter.on_enter", reply(self.session))

    @function_tool
    async def show_in(self) -> Agent:
        step("show_in returns an agent")
        return Desk()


@scenario(reported="it is aclose() that waits, for a tool of an agent that is leaving")
async def entered_twice() -> None:
    """session.update_agent() is called again while on_enter of the agent that it entered has not gone on yet."""
    session = await start(Lobby())
    session.update_agent(Desk())
    await happens("Desk.on_enter awaits")
    session.update_agent(Lobby())
    await quiet()


@scenario
async def the_agent_changes_and_the_agent_task_completes() -> None:
    """session.update_agent() is called while the AgentTask is under way, which then completes all the same."""

    class Persistent(Name):
        async def on_enter(self) -> None:
            step("Name.on_enter")
            self.helper = asyncio.create_task(self.complete_later())

        async def complete_later(self) -> None:
            await happens("the agent has changed")
            complete(self, "Ada")

    session = await start(Desk(Persistent))
    await happens("Name.on_enter")
    await quiet()
    session.update_agent(Lobby())
    await quiet()
    step("the agent has changed")
    await quiet()


@scenario(until=None)
class the_agent_changes_before_the_hand_over(Desk):
    """session.update_agent() is called when the tool is just about to await its AgentTask."""

    @function_tool
    async def collect(self) -> str:
        self.session.update_agent(Lobby())
        return await note("collect", Name())


@scenario(reported="it is drain() that waits, and an agent that is leaving makes no handoff")
async def the_agent_changes_while_the_tool_is_busy() -> None:
    """session.update_agent() is called while the tool is busy with something else, before it awaits its AgentTask."""

    class Busy(Desk):
        @function_tool
        async def collect(self) -> str:
            step("collect is busy")
            await quiet()
            return await note("collect", Name())

    session = await start(Busy())
    await happens("collect is busy")
    session.update_agent(Lobby())
    await quiet()


@scenario(until=None)
class the_agent_changes_as_the_chat_context_comes_back(Desk):
    """update_chat_ctx() of the agent takes its time and calls update_agent(): 1.2.x awaits it on the way back."""

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        await super().update_chat_ctx(chat_ctx)
        self.session.update_agent(Lobby())
        await quiet()


@scenario(until=None)
class a_tool_of_the_agent_task_returns_an_agent(Desk):
    """A tool of the AgentTask hands the user on to another agent and does not complete the AgentTask."""

    class Task(Name):
        @function_tool
        async def give_name(self) -> Agent:
            step("give_name returns an agent")
            return Lobby()


@scenario(until="Desk.on_exit")
class the_tool_returns_an_agent_afterwards(Desk):
    """The tool awaits an AgentTask and then returns another agent."""

    @function_tool
    async def collect(self) -> Agent:
        await note("collect", Name())
        return Lobby()

    async def on_exit(self) -> None:
        step("Desk.on_exit")
