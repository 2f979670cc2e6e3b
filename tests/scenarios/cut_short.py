"""Cancellation, interruption and the end of the session, at each stage of the way to an AgentTask and back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Callable

from livekit.agents import AgentSession, function_tool

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Desk, Lobby, Name, complete, happens, note, quiet, reply, start, step

ASKS = {"name": "Who are you?", "Ada.": [ToolCall("give_name")]}  # the AgentTask needs a turn of the user
CLOSE_WAITS = "session.aclose() waits for an event that nobody sets any more, and nothing is released in a close"


class Eventful(Name):
    """Something may happen to it while it is busy."""

    def __init__(self, happening: Callable[[Name], object] = lambda task: None) -> None:
        super().__init__()
        self.happening = happening

    async def busy(self, method: str) -> None:
        step(f"Name.{method}")
        self.happening(self)
        await quiet()
        step(f"Name.{method} goes on")


class Entering(Eventful):
    async def on_enter(self) -> None:
        await self.busy("on_enter")


class Leaving(Eventful):
    async def on_exit(self) -> None:
        await self.busy("on_exit")


@scenario(reported=CLOSE_WAITS)
async def cancelled_as_the_agent_task_is_entered() -> None:
    """The tool is cancelled while on_enter of the AgentTask runs."""
    desk = Desk(lambda: Entering(lambda task: desk.tool.cancel()))
    await start(desk)
    await quiet()


@scenario(reported=CLOSE_WAITS)
async def cancelled_on_the_way_back() -> None:
    """The tool is cancelled while on_exit of the AgentTask runs."""
    desk = Desk(lambda: Leaving(lambda task: desk.tool.cancel()))
    await start(desk)
    await quiet()


@scenario
async def completed_by_someone_else() -> None:
    """The AgentTask is completed from outside while its on_enter is still busy."""

    def completed(task: Name) -> None:
        asyncio.get_running_loop().call_soon(complete, task, "Ada")

    await start(Desk(lambda: Entering(completed)))
    await happens("Desk.on_enter goes on")


@scenario
async def replaced_as_the_agent_task_is_entered() -> None:
    """session.update_agent() is called in on_enter of the AgentTask."""
    await start(Desk(lambda: Entering(lambda task: task.session.update_agent(Lobby()))))
    await quiet()


@scenario(until=None)
class the_reply_is_interrupted_as_the_tool_begins(Desk):
    """The reply is interrupted when its tool is about to await the AgentTask."""

    @function_tool
    async def collect(self) -> str:
        self.session.interrupt()
        return await note("collect", Name())


async def at_the_agent_task(agent: Desk) -> AgentSession[Any]:
    """Return a session in which the AgentTask waits for the user, who may say "Ada."."""
    session = await start(agent, ASKS)
    await happens("assistant: Who are you?")
    await quiet()
    return session


@scenario
async def cancelled_during_the_agent_task() -> None:
    """The tool is cancelled while the AgentTask waits for the user."""
    desk = Desk()
    session = await at_the_agent_task(desk)
    desk.tool.cancel()
    await quiet()
    await note("the user", reply(session, user_input="Hello?"))


@scenario
async def on_enter_is_cancelled() -> None:
    """on_enter is cancelled while the AgentTask waits for the user."""
    desk = Desk()
    session = await at_the_agent_task(desk)
    desk.entering.cancel()
    await quiet()
    await note("the user", reply(session, user_input="Ada."))


@scenario
async def the_reply_is_interrupted_during_the_agent_task() -> None:
    """The speech handle that on_enter awaits is interrupted while the AgentTask waits for the user."""

    class Interrupted(Desk):
        async def on_enter(self) -> None:
            self.handle = self.session.generate_reply()
            await note("Desk.on_enter", self.handle.wait_for_playout())

    desk = Interrupted()
    session = await at_the_agent_task(desk)
    with contextlib.suppress(RuntimeError):  # later releases do not allow it
        desk.handle.interrupt()
    await quiet()
    await note("the user", reply(session, user_input="Ada."))
    await quiet()


@scenario
async def closed_during_the_hand_over() -> None:
    """The session is closed while the handoff waits for on_enter, which is busy with something else."""

    class Busy(Desk):
        async def on_enter(self) -> None:
            self.session.generate_reply()
            await note("Desk.on_enter", happens("something else is over"))

    session = await start(Busy(), {"name": "Who are you?"})
    await happens("collect awaits")
    await quiet()
    closing = asyncio.ensure_future(note("close", session.aclose()))
    await quiet()
    step("something else is over")
    await closing


@scenario
async def closed_as_the_agent_task_is_entered() -> None:
    """The session is closed while on_enter of the AgentTask runs."""
    session = await start(Desk(Entering))
    await happens("Name.on_enter")
    await note("close", session.aclose())


@scenario
async def closed_during_the_agent_task() -> None:
    """The session is closed while the AgentTask waits for the user."""
    session = await at_the_agent_task(Desk())
    await note("close", session.aclose())
    await quiet()


@scenario
async def closed_on_the_way_back() -> None:
    """The session is closed while on_exit of the AgentTask runs."""
    session = await start(Desk(Leaving))
    await happens("Name.on_exit")
    await note("close", session.aclose())
