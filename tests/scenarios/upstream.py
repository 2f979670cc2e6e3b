"""Where upstream's fix ends: others than on_enter that wait for a handoff which waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any

from livekit.agents import Agent, RunContext, function_tool, stt

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import nested, scenario
from .stage import Counter, Desk, Lobby, Name, happens, note, quiet, reply, start, step


class Greedy(Counter):
    """Its two tools await an AgentTask each."""

    @function_tool
    async def collect_too(self) -> str:
        return await note("collect_too", Name())


BOTH = {"desk": [ToolCall("collect"), ToolCall("collect_too")], "collect_too": "Thanks, too."}


@scenario(reported="it is drain() that waits, and an agent that is leaving cannot hand over")
async def on_exit_awaits_a_reply() -> None:
    """on_exit awaits a reply whose tool awaits an AgentTask."""

    class Leaving(Counter):
        async def on_exit(self) -> None:
            await note("Leaving.on_exit", reply(self.session, user_input="desk"))

    session = await start(Leaving())
    await quiet()
    session.update_agent(Lobby())
    await quiet()


QUESTION = {"question": [ToolCall("ask")], "ask": "Asked."}


@scenario(user="question", answers=QUESTION, resolved=True)
class a_tool_awaits_a_reply(Counter):
    """A tool awaits a reply whose own tool awaits an AgentTask."""

    @function_tool
    async def ask(self) -> str:
        await note("ask", reply(self.session, user_input="desk", tool_choice="auto"))
        return "asked"


@scenario(resolved=True)
async def on_user_turn_completed_awaits_a_reply() -> None:
    """on_user_turn_completed awaits a reply whose tool awaits an AgentTask."""

    class Attentive(Counter):
        async def stt_node(self, audio: Any, model_settings: Any) -> AsyncIterable[stt.SpeechEvent]:
            await happens("the user speaks")
            said = stt.SpeechData(language="en", text="hello")
            yield stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[said])
            await asyncio.Event().wait()

        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            await note("on_user_turn_completed", reply(self.session, user_input="desk"))

    class Ears(stt.STT):
        def __init__(self) -> None:
            super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

        async def _recognize_impl(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    session = await start(Attentive(), stt=Ears(), turn_detection="manual")
    await quiet()
    step("the user speaks")
    await quiet()
    session.commit_user_turn()
    await happens("on_user_turn_completed goes on")


@scenario(
    answers=BOTH,
    reported="the first AgentTask is lost already, and it is the end of its activity that waits",
)
class two_tools_of_a_reply_await_agent_tasks(Greedy):
    """Two tools of one reply await an AgentTask each, at the same time."""

    on_enter = Desk.on_enter

    def __init__(self) -> None:
        super().__init__("desk")


@scenario(
    until="the second reply goes on",
    reported="the second handoff waits for the session's lock; let go, the first AgentTask would be lost",
)
class two_replies_of_on_enter_at_once(Desk):
    """on_enter awaits two replies at once, each of which has a tool that awaits an AgentTask."""

    async def on_enter(self) -> None:
        first = self.session.generate_reply()
        second = self.session.generate_reply(user_input="desk")
        await note("the first reply", first.wait_for_playout())
        await note("the second reply", second.wait_for_playout())


@scenario(reported="the second handoff waits for the session's lock; let go, the first AgentTask would be lost")
async def the_user_asks_twice_at_once() -> None:
    """Two replies to the user, one right after the other, each have a tool that awaits an AgentTask."""
    session = await start(Counter())
    session.generate_reply(user_input="desk")
    await note("the user", reply(session, user_input="desk"))


@scenario
async def run_with_the_pattern() -> None:
    """session.start(capture_run=True) waits for a run in which the pattern is played."""
    step("the run begins")
    await start(Desk(), start={"capture_run": True})
    step("the run is over")


@scenario
async def run_waits_for_a_nested_hand_over() -> None:
    """session.run() waits for a reply whose tool awaits an AgentTask, whose tool awaits a second one."""

    class Nesting(Counter):
        Task = nested.Person

    session = await start(Nesting(), nested.ANSWERS)
    await note("the run", run(session, "desk"))


@scenario
async def run_enters_an_agent_with_the_pattern() -> None:
    """session.run() waits for a reply whose tool returns the agent with the pattern."""

    class Porter(Lobby):
        @function_tool
        async def show_in(self) -> Agent:
            return Desk()

    session = await start(Porter(), {"come in": [ToolCall("show_in")]})
    await note("the run", run(session, "come in"))
    await quiet()


@scenario
async def run_in_an_agent_task_that_awaits_its_own_reply() -> None:
    """session.run() waits for a reply whose tool awaits an AgentTask; on_enter of that awaits the user's answer."""

    class Waiting(Name):
        async def on_enter(self) -> None:
            await note("Name.on_enter", reply(self.session))

    class Asking(Counter):
        Task = Waiting

    session = await start(Asking())
    await note("the run", run(session, "desk"))


@scenario(until=None, reported="it is the close that waits, for the reply of the tool that closes")
class a_tool_closes_the_session(Desk):
    """A tool of the AgentTask awaits session.aclose()."""

    class Task(Name):
        @function_tool
        async def give_name(self) -> None:
            await note("give_name", self.session.aclose())


@scenario(user="desk", unreported="session.interrupt() changes no agent, so nobody looks")
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
    async def collect(self, context: RunContext) -> str:  # type: ignore[type-arg]
        return await note("collect", self.Circular(context))


async def run(session: Any, user_input: str) -> str:
    result = await session.run(user_input=user_input)  # the run is awaited here
    return ", ".join(event.type for event in result.events)
