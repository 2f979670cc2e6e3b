"""The pattern that deadlocks, and what is near it: on_enter, a reply, its tool, an AgentTask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from livekit.agents import RunContext, function_tool

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Desk, Name, complete, happens, note, quiet, reply, step


@scenario
class the_pattern(Desk):
    """on_enter awaits a reply whose tool awaits an AgentTask."""


@scenario
class the_handle_is_awaited_later(Desk):
    """on_enter takes the speech handle, and awaits it only when the AgentTask has been awaited."""

    async def on_enter(self) -> None:
        handle = self.session.generate_reply()
        await happens("collect awaits")
        await quiet()
        step("Desk.on_enter awaits the handle")
        await handle
        step("Desk.on_enter goes on")


@scenario
class a_helper_task_awaits_the_reply(Desk):
    """on_enter awaits a task of its own, and that awaits the reply."""

    async def on_enter(self) -> None:
        await note("Desk.on_enter", asyncio.create_task(reply(self.session)))


@scenario
class on_enter_waits_for_what_the_tool_does(Desk):
    """on_enter awaits no reply, but an event that the tool sets after its AgentTask."""

    async def on_enter(self) -> None:
        self.session.generate_reply()
        await note("Desk.on_enter", happens("collect gets Ada"))


@scenario(until="assistant: Thank you.")
class nobody_awaits_the_reply(Desk):
    """on_enter asks for a reply and returns."""

    async def on_enter(self) -> None:
        self.session.generate_reply()


@scenario(user="desk")
class a_reply_to_the_user(Desk):
    """on_enter is over; the tool of a reply to the user awaits an AgentTask."""

    async def on_enter(self) -> None:
        step("Desk.on_enter")


@scenario(user="desk")
class a_reply_to_the_user_while_on_enter_goes_on(Desk):
    """on_enter takes its time over something else, and the user's reply has a tool that awaits an AgentTask."""

    async def on_enter(self) -> None:
        await note("Desk.on_enter", happens("Name.on_exit"))


@scenario
class two_agent_tasks_in_a_row(Desk):
    """The tool awaits two AgentTasks, one after the other."""

    @function_tool
    async def collect(self) -> str:
        first = await note("collect", Name())
        second = await note("collect again", Name())
        return f"{first} and {second}"


@scenario(until="collect gets Ada")
class the_agent_task_is_a_dataclass(Desk):
    """The AgentTask is a dataclass, which can't be hashed."""

    @dataclass
    class Task(Name):
        prompt: str = "name"

        def __post_init__(self) -> None:
            super().__init__(self.prompt)


@scenario(until="collect gets Ada")
class the_agent_task_can_not_be_compared(Desk):
    """The AgentTask raises where it is compared with another object, hashed or asked for its truth value."""

    class Task(Name):
        def fail(self) -> bool:
            raise TypeError

        __hash__ = __bool__ = __len__ = fail

        def __eq__(self, other: object) -> bool:
            return other is self or self.fail()  # livekit-agents compares it with itself


@scenario
class the_agent_task_fails(Desk):
    """The AgentTask completes with an exception, which the tool lets through."""

    class Task(Name):
        @function_tool
        async def give_name(self) -> None:
            complete(self, ValueError("no name"))


@scenario(answers={"desk": [ToolCall("collect"), ToolCall("look_up")], "look_up": "Nothing found."})
class a_slow_second_tool_beside_it(Desk):
    """The reply calls a second tool as well, which takes longer than the AgentTask."""

    @function_tool
    async def look_up(self) -> str:
        await note("look_up", happens("collect gets Ada"))
        return "nothing"


@scenario(answers={"look it up": [ToolCall("look_up")], "look_up": "Nothing found."})
class another_reply_is_not_overtaken(Desk):
    """Another reply's tool is under way when the handoff begins, which has to wait for that reply."""

    async def on_enter(self) -> None:
        self.session.generate_reply(user_input="look it up")
        await note("Desk.on_enter", reply(self.session, user_input="desk"))

    @function_tool
    async def look_up(self) -> str:
        step("look_up begins")
        await happens("collect awaits")
        await quiet()
        step("look_up returns")
        return "nothing"


@scenario
class the_tool_waits_for_its_reply_to_be_spoken(Desk):
    """The tool awaits RunContext.wait_for_playout() before the AgentTask."""

    @function_tool
    async def collect(self, context: RunContext) -> str:
        await note("playout", context.wait_for_playout())
        return await note("collect", Name())


@scenario
class the_agent_task_is_awaited_twice(Desk):
    """The tool awaits the same AgentTask a second time."""

    @function_tool
    async def collect(self) -> str:
        name = Name()
        await note("collect", name)
        return await note("collect again", name)


@scenario
class the_agent_task_is_awaited_in_a_task_of_its_own(Desk):
    """The tool has another asyncio task await the AgentTask, which the library refuses."""

    async def ask(self) -> str:
        return await note("a task of its own", Name())

    @function_tool
    async def collect(self) -> str:
        return await note("collect", asyncio.create_task(self.ask()))


@scenario(until="assistant: Thank you.")
class on_enter_fails_meanwhile(Desk):
    """on_enter raises while the AgentTask is under way."""

    async def on_enter(self) -> None:
        self.session.generate_reply()
        await happens("Name.on_enter")
        step("Desk.on_enter fails")
        raise ValueError
