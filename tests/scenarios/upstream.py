"""Where upstream's fix ends: others than on_enter that wait for a handoff which waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import RunContext, function_tool
from turns import user_has_spoken

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Counter, Desk, Lobby, Name, happens, note, quiet, reply, start, step


class Greedy(Counter):
    """Its two tools await an AgentTask each."""

    @function_tool
    async def collect_too(self) -> str:
        return await note("collect_too", Name())


BOTH = {"desk": [ToolCall("collect"), ToolCall("collect_too")], "collect_too": "Thanks, too."}


@scenario(reported="it is drain() that waits, and an agent that is leaving makes no handoff")
async def on_exit_awaits_a_reply() -> None:
    """on_exit awaits a reply whose tool awaits an AgentTask."""

    class Leaving(Counter):
        async def on_exit(self) -> None:
            await note("Leaving.on_exit", reply(self.session, user_input="desk"))

    session = await start(Leaving())
    await quiet()
    session.update_agent(Lobby())
    await quiet()


@scenario(resolved=True)
async def on_user_turn_completed_awaits_a_reply() -> None:
    """on_user_turn_completed awaits a reply whose tool awaits an AgentTask."""

    class Attentive(Counter):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            await note("on_user_turn_completed", reply(self.session, user_input="desk"))

    session = await start(Attentive())
    user_has_spoken(session._activity, "hello")
    await happens("on_user_turn_completed goes on")


@scenario(answers=BOTH, reported="the first AgentTask is lost already, and the end of its activity waits")
class two_tools_of_a_reply_await_agent_tasks(Greedy, Desk):
    """Two tools of one reply await an AgentTask each, at the same time."""


@scenario(until="the second reply goes on", reported="without the session's lock, the first AgentTask would be lost")
class two_replies_of_on_enter_at_once(Desk):
    """on_enter awaits two replies at once, each of which has a tool that awaits an AgentTask."""

    async def on_enter(self) -> None:
        first = self.session.generate_reply()
        second = self.session.generate_reply(user_input="desk")
        await note("the first reply", first.wait_for_playout())
        await note("the second reply", second.wait_for_playout())


@scenario
async def run_with_the_pattern() -> None:
    """session.start(capture_run=True) waits for a run in which the pattern is played."""
    step("the run begins")
    await start(Desk(), start={"capture_run": True})
    step("the run is over")


@scenario(until=None, reported="it is the close that waits, for the reply of the tool that closes")
class a_tool_closes_the_session(Desk):
    """A tool of the AgentTask awaits session.aclose()."""

    class Task(Name):
        @function_tool
        async def give_name(self) -> None:
            await note("give_name", self.session.aclose())


@scenario(user="desk", unreported="session.interrupt() changes no agent, so nothing is checked")
class a_tool_interrupts_the_session(Counter):
    """A tool awaits session.interrupt() before its AgentTask."""

    @function_tool
    async def collect(self) -> str:
        await note("interrupt", self.session.interrupt())
        return await note("collect", Name())


@scenario(user="desk", reported="the drain is over: the handoff waits for on_enter of the AgentTask")
class the_agent_task_awaits_the_reply_that_awaits_it(Counter):
    """on_enter of the AgentTask awaits the speech handle of the tool that awaits the AgentTask."""

    class Circular(Name):
        def __init__(self, context: Any) -> None:
            super().__init__()
            self._context = context

        async def on_enter(self) -> None:
            await note("Name.on_enter", self._context.speech_handle.wait_for_playout())

    @function_tool
    async def collect(self, context: RunContext) -> str:
        return await note("collect", self.Circular(context))


async def run(session: Any, user_input: str) -> str:
    result = await session.run(user_input=user_input)  # the run is awaited here
    return ", ".join(event.type for event in result.events)


THERE_IS_A_FLOOR = hasattr(RunContext, "foreground")


class Holding(Lobby):
    """Its tool ``first`` holds the floor around an AgentTask, and ``second`` does after that."""

    @function_tool
    async def first(self, context: RunContext) -> str:
        """Comes first."""
        async with context.foreground():
            await quiet()
            return await note("first", Name())

    @function_tool
    async def second(self, context: RunContext) -> str:
        """Comes second."""
        await note("second", asyncio.sleep(0))
        async with context.foreground():
            return await note("second", Name())


@scenario(resolved=True)
async def tools_of_two_replies_hold_the_floor() -> None:
    """The tools of two replies hold the floor (RunContext.foreground(), by 1.7.0), each around an AgentTask."""
    if THERE_IS_A_FLOOR:
        session = await start(Holding(), {"one": [ToolCall("first")], "two": [ToolCall("second")]})
        first = asyncio.ensure_future(reply(session, user_input="one"))
        await asyncio.sleep(0.05)
        await note("the second reply", reply(session, user_input="two"))
        await note("the first reply", first)
