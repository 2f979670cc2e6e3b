"""Agents and AgentTasks whose on_enter awaits an AgentTask, itself or by a reply."""

from __future__ import annotations

from typing import Any, Callable

from cast import Name, start
from livekit.agents import Agent, AgentTask, function_tool


class Person(AgentTask[str]):
    """Awaits another AgentTask itself."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        self.complete(await Name())


class PersonByTool(Person):
    """The pattern in an AgentTask: on_enter awaits a reply, whose tool awaits another AgentTask."""

    async def on_enter(self) -> None:
        await self.session.generate_reply(user_input="ask_name")

    @function_tool
    async def ask_name(self) -> None:
        self.complete(await Name())


class DeskThatHandsOverItself(Agent):
    """Awaits an AgentTask in on_enter."""

    def __init__(self, task: Callable[[], Any] = Name) -> None:
        super().__init__(instructions="")
        self._task = task

    async def on_enter(self) -> None:
        await self._task()


async def on_enter_that_awaits_one_that_does() -> None:
    await entered(DeskThatHandsOverItself(Person))


async def entered(agent: Agent) -> None:
    """Start a session and wait until on_enter is over."""
    await start(agent)
    await agent._get_activity_or_raise()._on_enter_task  # type: ignore[misc]
