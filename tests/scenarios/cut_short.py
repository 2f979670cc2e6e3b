"""Cancellation, interruption and the end of the session, at each stage of the way to an AgentTask and back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Callable

from livekit.agents import Agent, AgentSession, function_tool
from own_awaitable import Own

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Desk, Lobby, Name, complete, happens, note, quiet, reply, start, step


class Cancelled(Desk):
    """Its tool can be cancelled, and its on_enter too."""

    def __init__(self, task: Callable[[], Name] = Name) -> None:
        super().__init__()
        self.task = task
        self.tool: Any = None
        self.entering: Any = None

    async def on_enter(self) -> None:
        self.entering = asyncio.current_task()
        await super().on_enter()

    @function_tool
    async def collect(self) -> str:
        self.tool = asyncio.current_task()
        return await note("collect", self.task())


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


async def at_the_agent_task(agent: Agent) -> AgentSession[Any]:
    """Return a session that has played until the AgentTask waits for the user, who may say "Ada."."""
    session = await start(agent, {"name": "Who are you?", "Ada.": [ToolCall("give_name")]})
    await happens("assistant: Who are you?")
    await quiet()
    return session


@scenario(until=None)
class cancelled_before_the_hand_over(Cancelled):
    """The tool is cancelled when it is about to await the AgentTask."""

    @function_tool
    async def collect(self) -> str:
        step("collect is cancelled")
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        return await note("collect", Name())


@scenario
async def cancelled_during_the_hand_over() -> None:
    """The tool is cancelled while the handoff waits for another reply."""

    class Busy(Cancelled):
        async def on_enter(self) -> None:
            self.session.generate_reply()
            await note("Desk.on_enter", happens("collect gets CancelledError"))

        @function_tool
        async def collect(self) -> str:
            self.tool = asyncio.current_task()
            step("collect has a task")
            return await note("collect", Name())

        @function_tool
        async def look_up(self) -> None:
            await note("look_up", happens("the other reply is over"))

    desk = Busy()
    session = await start(desk, {"look it up": [ToolCall("look_up")]})
    session.generate_reply(user_input="look it up")
    await happens("collect awaits")
    await quiet()
    step("collect is cancelled")
    desk.tool.cancel()
    await quiet()
    step("the other reply is over")
    await quiet()


@scenario(reported="session.aclose() waits for an event that nobody sets any more, and a close is let go of nothing")
async def cancelled_as_the_agent_task_is_entered() -> None:
    """The tool is cancelled while on_enter of the AgentTask runs."""
    desk = Cancelled(lambda: Entering(lambda task: desk.tool.cancel()))
    await start(desk)
    await quiet()


@scenario
async def cancelled_during_the_agent_task() -> None:
    """The tool is cancelled while the AgentTask waits for the user."""
    desk = Cancelled()
    session = await start(desk, {"name": "Who are you?"})
    await happens("assistant: Who are you?")
    await quiet()
    desk.tool.cancel()
    await quiet()
    await note("the user", reply(session, user_input="Hello?"))


@scenario(reported="session.aclose() waits for an event that nobody sets any more, and a close is let go of nothing")
async def cancelled_on_the_way_back() -> None:
    """The tool is cancelled while on_exit of the AgentTask runs."""
    desk = Cancelled(lambda: Leaving(lambda task: desk.tool.cancel()))
    await start(desk)
    await quiet()


@scenario
async def cancelled_and_tried_again() -> None:
    """The tool is cancelled while the AgentTask waits for the user, and the user asks for it again."""
    desk = Cancelled()
    session = await start(desk, {"name": "Who are you?"})
    await happens("assistant: Who are you?")
    await quiet()
    desk.tool.cancel()
    await quiet()
    session.generate_reply(user_input="desk")
    await quiet()


@scenario
async def on_enter_is_cancelled() -> None:
    """on_enter is cancelled while the AgentTask waits for the user."""
    desk = Cancelled()
    session = await start(desk, {"name": "Who are you?", "Ada.": [ToolCall("give_name")]})
    await happens("assistant: Who are you?")
    await quiet()
    desk.entering.cancel()
    await quiet()
    await note("the user", reply(session, user_input="Ada."))


@scenario(until=None)
class the_reply_is_interrupted_as_the_tool_begins(Desk):
    """The reply is interrupted when its tool is about to await the AgentTask."""

    @function_tool
    async def collect(self) -> str:
        self.session.interrupt()
        return await note("collect", Name())


@scenario
async def the_reply_is_interrupted_during_the_agent_task() -> None:
    """The speech handle that on_enter awaits is interrupted while the AgentTask waits for the user."""
    handles: list[Any] = []

    class Interrupted(Desk):
        async def on_enter(self) -> None:
            handles.append(self.session.generate_reply())
            await note("Desk.on_enter", handles[0].wait_for_playout())

    session = await at_the_agent_task(Interrupted())
    with contextlib.suppress(RuntimeError):  # later releases do not allow it
        handles[0].interrupt()
    await quiet()
    await note("the user", reply(session, user_input="Ada."))
    await quiet()


@scenario
async def the_session_is_interrupted_during_the_agent_task() -> None:
    """session.interrupt() while the AgentTask waits for the user."""
    session = await at_the_agent_task(Desk())
    await note("interrupt", session.interrupt())
    await note("the user", reply(session, user_input="Ada."))
    await quiet()


@scenario
async def closed_before_the_hand_over() -> None:
    """The session is closed when the tool is about to await the AgentTask."""

    class Closed(Desk):
        @function_tool
        async def collect(self) -> str:
            step("collect")
            await quiet()
            return await note("collect", Name())

    session = await start(Closed())
    await happens("collect")
    await note("close", session.aclose())


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
    session = await start(Cancelled(Entering))
    await happens("Name.on_enter")
    await note("close", session.aclose())


@scenario
async def closed_as_the_agent_task_is_entered_that_an_awaitable_of_the_users_awaits() -> None:
    """The session is closed while on_enter of the AgentTask runs, and nothing can be seen of who awaits it."""
    session = await start(Cancelled(lambda: Own(Entering())))
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
    session = await start(Cancelled(Leaving))
    await happens("Name.on_exit")
    await note("close", session.aclose())


@scenario
async def shut_down_during_the_agent_task() -> None:
    """session.shutdown() while the AgentTask waits for the user."""
    session = await at_the_agent_task(Desk())
    session.shutdown()
    await quiet()


@scenario
async def drained_during_the_agent_task() -> None:
    """session.drain() while the AgentTask waits for the user."""
    session = await at_the_agent_task(Desk())
    await note("drain", session.drain())


@scenario
async def closed_and_started_again() -> None:
    """The session is closed during the AgentTask, and another session plays the pattern."""
    first = await at_the_agent_task(Desk())
    await note("close", first.aclose())
    await start(Desk())
    await quiet()


@scenario
async def completed_by_someone_else() -> None:
    """The AgentTask is completed from outside while its on_enter is still busy."""

    def completed(task: Name) -> None:
        asyncio.get_running_loop().call_soon(complete, task, "Ada")

    await start(Cancelled(lambda: Entering(completed)))
    await happens("Desk.on_enter goes on")


@scenario
async def replaced_as_the_agent_task_is_entered() -> None:
    """session.update_agent() is called in on_enter of the AgentTask."""
    await start(Cancelled(lambda: Entering(lambda task: task.session.update_agent(Lobby()))))
    await quiet()
