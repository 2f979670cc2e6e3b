"""AgentTasks inside AgentTasks, and AgentTasks that on_enter or on_exit awaits itself."""

from __future__ import annotations

from livekit.agents import AgentTask, function_tool

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import scenario
from .stage import Desk, Lobby, Name, complete, note, reply, step


class Person(AgentTask[str]):
    """An AgentTask whose tool awaits another one, and then completes."""

    def __init__(self, instructions: str = "person") -> None:
        super().__init__(instructions=instructions)

    async def on_enter(self) -> None:
        step("Person.on_enter")
        self.session.generate_reply()

    @function_tool
    async def ask_name(self) -> None:
        complete(self, f"the person {await note('ask_name', Name())}")


class Patterned(Person):
    """The pattern in an AgentTask."""

    async def on_enter(self) -> None:
        await note("Person.on_enter", reply(self.session))


ANSWERS = {"person": [ToolCall("ask_name")]}


@scenario(answers=ANSWERS)
class an_agent_task_in_an_agent_task(Desk):
    """The pattern, and a tool of the AgentTask awaits a second AgentTask."""

    Task = Person


@scenario(answers=ANSWERS)
class the_pattern_in_an_agent_task(Desk):
    """The pattern twice over: on_enter of the AgentTask awaits a reply, too, whose tool awaits a second AgentTask."""

    Task = Patterned


@scenario(answers=ANSWERS, until="Person.on_enter goes on")
class an_agent_task_is_the_first_agent(Patterned):
    """The session starts with an AgentTask that nobody awaits, and its on_enter has the pattern."""


@scenario
class the_agent_task_awaits_its_own_reply(Desk):
    """on_enter of the AgentTask awaits the reply whose tool completes it."""

    class Task(Name):
        async def on_enter(self) -> None:
            await note("Name.on_enter", reply(self.session))


@scenario
class the_agent_task_completes_in_on_enter(Desk):
    """on_enter of the AgentTask completes it at once."""

    class Task(Name):
        async def on_enter(self) -> None:
            complete(self, "Ada")


@scenario(until=None)
class on_enter_awaits_the_agent_task_itself(Lobby):
    """on_enter awaits an AgentTask, without a reply."""

    async def on_enter(self) -> None:
        await note("Direct.on_enter", Name())


@scenario(until=None)
class on_enter_awaits_an_agent_task_and_then_has_the_pattern(Desk):
    """on_enter awaits an AgentTask itself, and then a reply whose tool awaits another one."""

    async def on_enter(self) -> None:
        await note("Desk.on_enter itself", Name())
        await note("Desk.on_enter", reply(self.session, user_input="desk"))


@scenario(until=None)
class on_enter_of_the_agent_task_awaits_an_agent_task(Desk):
    """The pattern, and on_enter of its AgentTask awaits a second one itself."""

    class Task(Person):
        async def on_enter(self) -> None:
            complete(self, f"the person {await note('Person.on_enter', Name())}")


@scenario(until=None)
class on_exit_of_the_agent_task_speaks(Desk):
    """The pattern, and on_exit of the AgentTask awaits session.say()."""

    class Task(Name):
        async def on_exit(self) -> None:
            await note("Name.on_exit", self.say())

        async def say(self) -> None:
            await self.session.say("Goodbye.")


@scenario(until=None, reported="it is drain() that waits, and an agent that is leaving makes no handoff")
class on_exit_of_the_agent_task_awaits_an_agent_task(Desk):
    """The pattern, and on_exit of the AgentTask awaits a second AgentTask."""

    class Task(Name):
        async def on_exit(self) -> None:
            await note("Insatiable.on_exit", Name())
