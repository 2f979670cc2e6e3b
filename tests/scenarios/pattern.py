"""The pattern that deadlocks, and what is near it: on_enter, a reply, its tool, an AgentTask."""

from __future__ import annotations

import asyncio

from livekit.agents import Agent, AgentTask, RunContext, function_tool

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Desk, Name, complete, happens, note, quiet, reply, start, step


@scenario
async def the_pattern() -> None:
    """on_enter awaits a reply whose tool awaits an AgentTask."""
    await start(Desk())
    await happens("Desk.on_enter goes on")


@scenario
async def the_handle_is_awaited_later() -> None:
    """on_enter takes the speech handle, and awaits it only when the AgentTask has been awaited."""

    class Waiting(Desk):
        async def on_enter(self) -> None:
            handle = self.session.generate_reply()
            await happens("collect awaits")
            await quiet()
            step("Desk.on_enter awaits the handle")
            await handle
            step("Desk.on_enter goes on")

    await start(Waiting())
    await happens("Desk.on_enter goes on")


@scenario
async def the_handle_is_awaited_at_once_but_not_directly() -> None:
    """on_enter takes the speech handle, and calls its wait_for_playout()."""

    class Waiting(Desk):
        async def on_enter(self) -> None:
            handle = self.session.generate_reply()
            await note("Desk.on_enter", handle.wait_for_playout())

    await start(Waiting())
    await happens("Desk.on_enter goes on")


@scenario
async def a_helper_task_awaits_the_reply() -> None:
    """on_enter awaits a task of its own, and that awaits the reply."""

    class Helped(Desk):
        async def on_enter(self) -> None:
            await note("Desk.on_enter", asyncio.create_task(reply(self.session)))

    await start(Helped())
    await happens("Desk.on_enter goes on")


@scenario
async def on_enter_waits_for_what_the_tool_does() -> None:
    """on_enter awaits no reply, but an event that the tool sets after its AgentTask."""

    class Listening(Desk):
        async def on_enter(self) -> None:
            self.session.generate_reply()
            await note("Desk.on_enter", happens("collect gets Ada"))

    await start(Listening())
    await happens("Desk.on_enter goes on")


@scenario
async def on_enter_is_busy_with_something_else() -> None:
    """on_enter waits for something that has nothing to do with the reply, until the AgentTask is under way."""

    class Busy(Desk):
        async def on_enter(self) -> None:
            self.session.generate_reply()
            await note("Desk.on_enter", happens("the world goes on"))

    class Slow(Name):
        @function_tool
        async def give_name(self) -> None:
            """Called when the user has given a name."""
            step("the world goes on")
            await happens("Desk.on_enter goes on")
            complete(self, "Ada")

    class BusyDesk(Busy):
        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            return await note("collect", Slow())

    await start(BusyDesk())
    await happens("assistant: Thank you.")


@scenario
async def nobody_awaits_the_reply() -> None:
    """on_enter asks for a reply and returns."""

    class Hasty(Desk):
        async def on_enter(self) -> None:
            self.session.generate_reply()

    await start(Hasty())
    await happens("assistant: Thank you.")


@scenario
async def a_reply_to_the_user() -> None:
    """on_enter is over; the tool of a reply to the user awaits an AgentTask."""

    class Silent(Desk):
        async def on_enter(self) -> None:
            step("Desk.on_enter")

    session = await start(Silent())
    await quiet()
    await note("the user", reply(session, user_input="desk"))


@scenario
async def a_reply_to_the_user_while_on_enter_goes_on() -> None:
    """on_enter takes its time over something else, and the user's reply has a tool that awaits an AgentTask."""

    class Busy(Desk):
        async def on_enter(self) -> None:
            await note("Desk.on_enter", happens("Name.on_exit"))

    session = await start(Busy())
    await note("the user", reply(session, user_input="desk"))


@scenario
async def the_agent_says_something_first() -> None:
    """on_enter awaits session.say() before the reply."""

    class Polite(Desk):
        async def on_enter(self) -> None:
            await self.session.say("Good morning.")
            await note("Desk.on_enter", reply(self.session))

    await start(Polite())
    await happens("Desk.on_enter goes on")


@scenario
async def the_agent_says_something_afterwards() -> None:
    """on_enter asks for the reply, then has session.say() queued behind it and awaits that."""

    class Chatty(Desk):
        async def on_enter(self) -> None:
            self.session.generate_reply()
            await self.session.say("One moment.")
            step("Desk.on_enter has said it")

    await start(Chatty())
    await happens("assistant: Thank you.")


@scenario
async def two_replies_in_a_row() -> None:
    """on_enter awaits two replies, one after the other, each of which has a tool that awaits an AgentTask."""

    class Thorough(Desk):
        async def on_enter(self) -> None:
            await note("the first reply", reply(self.session))
            await note("the second reply", reply(self.session, user_input="desk"))

    await start(Thorough())
    await happens("the second reply goes on")


@scenario
async def two_agent_tasks_in_a_row() -> None:
    """The tool awaits two AgentTasks, one after the other."""

    class Couple(Desk):
        @function_tool
        async def collect(self) -> str:
            """Collects two names."""
            first = await note("collect", Name())
            second = await note("collect again", Name())
            return f"{first} and {second}"

    await start(Couple())
    await happens("Desk.on_enter goes on")


@scenario
async def the_agent_task_fails() -> None:
    """The AgentTask completes with an exception, which the tool lets through."""

    class Failing(Name):
        @function_tool
        async def give_name(self) -> None:
            """Called when the user gives no name."""
            complete(self, ValueError("no name"))

    class Careless(Desk):
        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            return await note("collect", Failing())

    await start(Careless())
    await happens("Desk.on_enter goes on")


@scenario
async def the_agent_task_fails_and_the_tool_copes() -> None:
    """The AgentTask completes with an exception, and the tool tries a second one."""

    class Failing(Name):
        @function_tool
        async def give_name(self) -> None:
            """Called when the user gives no name."""
            complete(self, ValueError("no name"))

    class Careful(Desk):
        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            try:
                return await note("collect", Failing())
            except ValueError:
                return await note("collect again", Name())

    await start(Careful())
    await happens("Desk.on_enter goes on")


@scenario
async def the_tool_fails_before_the_agent_task() -> None:
    """The tool raises before it awaits anything."""

    class Broken(Desk):
        @function_tool
        async def collect(self) -> str:
            """Collects nothing."""
            step("collect fails")
            raise ValueError

    await start(Broken())
    await happens("Desk.on_enter goes on")


@scenario
async def the_user_takes_two_turns() -> None:
    """The AgentTask asks, the user answers, and only that completes it."""
    session = await start(
        Desk(), {"name": "Who are you?", "I am Ada.": "Ada, is that right?", "Yes.": [ToolCall("give_name")]}
    )
    await happens("assistant: Who are you?")
    await note("the user", reply(session, user_input="I am Ada."))
    await note("the user", reply(session, user_input="Yes."))
    await happens("Desk.on_enter goes on")


@scenario
async def the_user_says_something_else_meanwhile() -> None:
    """The user interrupts the AgentTask's question and the AgentTask goes on all the same."""
    session = await start(Desk(), {"name": "Who are you?", "What?": "Your name.", "Ada.": [ToolCall("give_name")]})
    await happens("Name.on_enter")
    session.interrupt()
    session.generate_reply(user_input="What?")
    await happens("assistant: Your name.")
    session.generate_reply(user_input="Ada.")
    await happens("Desk.on_enter goes on")


@scenario
async def the_user_speaks_again_afterwards() -> None:
    """When the pattern is through, the next reply has a tool that awaits an AgentTask."""
    session = await start(Desk())
    await happens("Desk.on_enter goes on")
    await note("the user", reply(session, user_input="desk"))


@scenario
async def a_second_tool_beside_it() -> None:
    """The reply calls a second tool as well, which is done at once."""

    class Helpful(Desk):
        @function_tool
        async def look_up(self) -> str:
            """Looks something up."""
            step("look_up returns")
            return "nothing"

    await start(Helpful(), {"desk": [ToolCall("collect"), ToolCall("look_up")], "look_up": "Nothing found."})
    await happens("Desk.on_enter goes on")


@scenario
async def a_slow_second_tool_beside_it() -> None:
    """The reply calls a second tool as well, which takes longer than the AgentTask."""

    class Helpful(Desk):
        @function_tool
        async def look_up(self) -> str:
            """Looks something up."""
            await note("look_up", happens("collect gets Ada"))
            return "nothing"

    await start(Helpful(), {"desk": [ToolCall("collect"), ToolCall("look_up")], "look_up": "Nothing found."})
    await happens("Desk.on_enter goes on")


@scenario
async def another_reply_is_not_overtaken() -> None:
    """Another reply's tool is under way when the handoff begins, which has to wait for that reply."""

    class Busy(Desk):
        async def on_enter(self) -> None:
            self.session.generate_reply(user_input="look it up")
            await note("Desk.on_enter", reply(self.session, user_input="desk"))

        @function_tool
        async def look_up(self) -> str:
            """Looks something up."""
            step("look_up begins")
            await happens("collect awaits")
            await quiet()
            step("look_up returns")
            return "nothing"

    await start(Busy(), {"look it up": [ToolCall("look_up")], "look_up": "Nothing found."})
    await happens("Desk.on_enter goes on")


@scenario
async def the_tool_speaks_first() -> None:
    """The reply has a text before its tool, and the tool awaits its own say() before the AgentTask."""

    class Polite(Desk):
        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            await self.session.say("I need your name.")
            return await note("collect", Name())

    await start(Polite())
    await happens("Desk.on_enter goes on")


@scenario
async def the_tool_waits_for_its_reply_to_be_spoken() -> None:
    """The tool awaits RunContext.wait_for_playout() before the AgentTask."""

    class Polite(Desk):
        @function_tool
        async def collect(self, context: RunContext) -> str:  # type: ignore[type-arg]
            """Collects the user's name."""
            await note("playout", context.wait_for_playout())
            return await note("collect", Name())

    await start(Polite())
    await happens("Desk.on_enter goes on")


@scenario
async def the_agent_task_is_not_interruptible() -> None:
    """The reply does not allow interruptions."""

    class Firm(Desk):
        async def on_enter(self) -> None:
            await note("Desk.on_enter", reply(self.session, allow_interruptions=False))

    await start(Firm())
    await happens("Desk.on_enter goes on")


@scenario
async def the_agent_task_is_awaited_twice() -> None:
    """The tool awaits the same AgentTask a second time."""

    class Forgetful(Desk):
        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            name = Name()
            await note("collect", name)
            return await note("collect again", name)

    await start(Forgetful())
    await happens("Desk.on_enter goes on")


@scenario
async def the_agent_task_is_awaited_in_a_task_of_its_own() -> None:
    """The tool has another asyncio task await the AgentTask, which the library refuses."""

    async def ask() -> str:
        return await note("a task of its own", Name())

    class Roundabout(Desk):
        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            return await note("collect", asyncio.create_task(ask()))

    await start(Roundabout())
    await happens("Desk.on_enter goes on")


@scenario
async def two_sessions() -> None:
    """Two sessions play the pattern at the same time."""
    await start(Desk())
    await start(Desk())
    await quiet()


@scenario
async def on_enter_fails_meanwhile() -> None:
    """on_enter raises while the AgentTask is under way."""

    class Failing(Desk):
        async def on_enter(self) -> None:
            self.session.generate_reply()
            await happens("Name.on_enter")
            step("Desk.on_enter fails")
            raise ValueError

    await start(Failing())
    await happens("assistant: Thank you.")


@scenario
async def an_agent_task_is_the_first_agent() -> None:
    """The session starts with an AgentTask that nobody awaits, and its on_enter has the pattern."""

    class First(AgentTask[str]):
        def __init__(self) -> None:
            super().__init__(instructions="desk")

        async def on_enter(self) -> None:
            await note("First.on_enter", reply(self.session))

        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            return await note("collect", Name())

    await start(First())
    await happens("First.on_enter goes on")


@scenario
async def an_agent_without_on_enter() -> None:
    """An agent that has no on_enter of its own."""

    class Plain(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="plain")

        @function_tool
        async def collect(self) -> str:
            """Collects the user's name."""
            return await note("collect", Name())

    session = await start(Plain())
    await note("the user", reply(session, user_input="desk"))
