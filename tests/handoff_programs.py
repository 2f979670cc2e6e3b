"""Programs whose handoffs the fix changes, or has nothing to change in, and a log handler that raises."""

from __future__ import annotations

import logging

from cast import Name, start
from livekit.agents import Agent, AgentTask, function_tool
from recorder import LOGGER


class Person(AgentTask[str]):
    """Awaits another AgentTask itself."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        self.complete(await Name())


class PersonByTool(AgentTask[str]):
    """The pattern in an AgentTask."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        await self.session.generate_reply(user_input="ask_name")

    @function_tool
    async def ask_name(self) -> None:
        self.complete(await Name())


class Desk(Agent):
    """The pattern: on_enter awaits a reply, whose tool awaits an AgentTask."""

    def __init__(self, task: type[AgentTask[str]] = Name) -> None:
        super().__init__(instructions="")
        self._task = task

    async def on_enter(self) -> None:
        await self.session.generate_reply(user_input="collect")

    @function_tool
    async def collect(self) -> str:
        return await self._task()


class DeskThatHandsOverItself(Desk):
    async def on_enter(self) -> None:
        await self._task()


class DeskThatDoesNotWait(Desk):
    async def on_enter(self) -> None:
        self.speech = self.session.generate_reply(user_input="collect")


async def entered(desk: Desk) -> None:
    """Start a session and wait until on_enter is over."""
    await start(desk)
    await desk._get_activity_or_raise()._on_enter_task  # type: ignore[misc]


async def pattern() -> None:
    await entered(Desk())


async def pattern_in_three_sessions() -> None:
    for _ in range(3):
        await entered(Desk())


async def pattern_in_an_agent_task() -> None:
    await entered(Desk(PersonByTool))


async def on_enter_that_hands_over_itself() -> None:
    await entered(DeskThatHandsOverItself())


async def on_enter_that_hands_over_to_one_that_does() -> None:
    await entered(DeskThatHandsOverItself(Person))


async def on_enter_is_over() -> None:
    desk = DeskThatDoesNotWait()
    await entered(desk)
    await desk.speech


async def pattern_with_a_log_handler_that_raises() -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("the program's own logging is broken")

    LOGGER.addHandler(Broken())
    await entered(Desk())
