"""AgentTasks inside AgentTasks, and AgentTasks that on_enter or on_exit awaits itself."""

from __future__ import annotations

from livekit.agents import Agent, AgentTask, function_tool

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Desk, Lobby, Name, complete, happens, note, quiet, reply, start, step


class Person(AgentTask[str]):
    """An AgentTask whose tool awaits another one, and then completes."""

    def __init__(self, instructions: str = "person") -> None:
        super().__init__(instructions=instructions)

    async def on_enter(self) -> None:
        step("Person.on_enter")
        self.session.generate_reply()

    @function_tool
    async def ask_name(self) -> None:
        """Asks for the name."""
        complete(self, f"the person {await note('ask_name', Name())}")


class PersonDesk(Desk):
    task: type[AgentTask[str]] = Person

    @function_tool
    async def collect(self) -> str:
        """Collects a person."""
        return await note("collect", self.task())


ANSWERS = {"person": [ToolCall("ask_name")]}


@scenario
async def an_agent_task_in_an_agent_task() -> None:
    """The pattern, and a tool of the AgentTask awaits a second AgentTask."""
    await start(PersonDesk(), ANSWERS)
    await happens("Desk.on_enter goes on")


@scenario
async def the_pattern_in_an_agent_task() -> None:
    """The pattern twice over: on_enter of the AgentTask awaits a reply, too, whose tool awaits a second AgentTask."""

    class Patterned(Person):
        async def on_enter(self) -> None:
            await note("Person.on_enter", reply(self.session))

    class Outer(PersonDesk):
        task = Patterned

    await start(Outer(), ANSWERS)
    await happens("Desk.on_enter goes on")


@scenario
async def the_pattern_three_deep() -> None:
    """The pattern three times over."""

    class Patterned(Person):
        async def on_enter(self) -> None:
            await note("Person.on_enter", reply(self.session))

    class Group(Person):
        def __init__(self) -> None:
            super().__init__(instructions="group")

        async def on_enter(self) -> None:
            await note("Group.on_enter", reply(self.session))

        @function_tool
        async def ask_person(self) -> None:
            """Asks for a person."""
            complete(self, f"a group of {await note('ask_person', Patterned())}")

    class Outer(PersonDesk):
        task = Group

    await start(Outer(), {**ANSWERS, "group": [ToolCall("ask_person")]})
    await happens("Desk.on_enter goes on")


@scenario
async def only_the_agent_task_has_the_pattern() -> None:
    """Nobody awaits the agent's reply; the AgentTask's on_enter awaits one whose tool awaits a second AgentTask."""

    class Patterned(Person):
        async def on_enter(self) -> None:
            await note("Person.on_enter", reply(self.session))

    class Hasty(PersonDesk):
        task = Patterned

        async def on_enter(self) -> None:
            self.session.generate_reply()

    await start(Hasty(), ANSWERS)
    await happens("assistant: Thank you.")


@scenario
async def the_agent_task_awaits_its_own_reply() -> None:
    """on_enter of the AgentTask awaits the reply whose tool completes it."""

    class Waiting(Name):
        async def on_enter(self) -> None:
            await note("Name.on_enter", reply(self.session))

    class Outer(PersonDesk):
        task = Waiting

    await start(Outer())
    await happens("Desk.on_enter goes on")


@scenario
async def the_agent_task_completes_in_on_enter() -> None:
    """on_enter of the AgentTask completes it at once."""

    class Immediate(Name):
        async def on_enter(self) -> None:
            complete(self, "Ada")

    class Outer(PersonDesk):
        task = Immediate

    await start(Outer())
    await happens("Desk.on_enter goes on")


@scenario
async def on_enter_awaits_the_agent_task_itself() -> None:
    """on_enter awaits an AgentTask, without a reply."""

    class Direct(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="direct")

        async def on_enter(self) -> None:
            await note("Direct.on_enter", Name())

    await start(Direct())
    await quiet()


@scenario
async def on_enter_awaits_an_agent_task_and_then_has_the_pattern() -> None:
    """on_enter awaits an AgentTask itself, and then a reply whose tool awaits another one."""

    class Direct(Desk):
        async def on_enter(self) -> None:
            await note("Desk.on_enter itself", Name())
            await note("Desk.on_enter", reply(self.session, user_input="desk"))

    await start(Direct())
    await quiet()


@scenario
async def on_enter_of_the_agent_task_awaits_an_agent_task() -> None:
    """The pattern, and on_enter of its AgentTask awaits a second one itself."""

    class Direct(Person):
        async def on_enter(self) -> None:
            complete(self, f"the person {await note('Person.on_enter', Name())}")

    class Outer(PersonDesk):
        task = Direct

    await start(Outer())
    await quiet()


@scenario(reported="it is drain() that waits, and an agent that is leaving cannot hand over")
async def on_exit_awaits_an_agent_task() -> None:
    """The user goes on to another agent, and on_exit awaits an AgentTask."""

    class Leaving(Lobby):
        async def on_exit(self) -> None:
            await note("Leaving.on_exit", Name())

    session = await start(Leaving())
    await quiet()
    session.update_agent(Lobby())
    await quiet()


@scenario
async def on_exit_of_the_agent_task_speaks() -> None:
    """The pattern, and on_exit of the AgentTask awaits session.say()."""

    class Polite(Name):
        async def on_exit(self) -> None:
            await note("Name.on_exit", say(self))

    async def say(task: Polite) -> None:
        await task.session.say("Goodbye.")

    class Outer(PersonDesk):
        task = Polite

    await start(Outer())
    await quiet()


@scenario(reported="it is drain() that waits, and an agent that is leaving cannot hand over")
async def on_exit_of_the_agent_task_awaits_an_agent_task() -> None:
    """The pattern, and on_exit of the AgentTask awaits a second AgentTask."""

    class Insatiable(Name):
        async def on_exit(self) -> None:
            await note("Insatiable.on_exit", Name())

    class Outer(PersonDesk):
        task = Insatiable

    await start(Outer())
    await quiet()
