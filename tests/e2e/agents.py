"""The agents of the end-to-end tests, as people write them. They know no shim, and run on any release."""

from __future__ import annotations

from typing import Callable

from livekit.agents import Agent, AgentTask, function_tool


class EmailTask(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask the user for an e-mail address and have it confirmed.")
        self._email = ""

    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Ask for the e-mail address.")

    @function_tool
    async def update_email(self, email: str) -> str:
        """Note the e-mail address that the user has given."""
        self._email = email
        return f"Noted {email}. Ask the user whether it is right."

    @function_tool
    async def confirm_email(self) -> None:
        """The user has confirmed the e-mail address."""
        self.complete(self._email)


class Collecting(Agent):
    """Its tool awaits an AgentTask. It calls ``on_finished`` at its end."""

    def __init__(self, on_finished: Callable[[str], object]) -> None:
        super().__init__(instructions="You need the e-mail address of every caller.")
        self._on_finished = on_finished
        self._email = ""

    @function_tool
    async def collect_email(self) -> str:
        """Collect the user's e-mail address."""
        self._email = await EmailTask()
        return self._email


class Receptionist(Collecting):
    """The pattern: on_enter awaits a reply, whose tool awaits an AgentTask."""

    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Collect the e-mail address, then thank the user.")
        self._on_finished(f"collected {self._email}")


class Operator(Collecting):
    """A tool awaits a reply, whose own tool awaits an AgentTask."""

    async def on_enter(self) -> None:
        self.session.generate_reply(user_input="Please call me back.")

    @function_tool
    async def arrange_call(self) -> str:
        """The user wants to be called back."""
        await self.session.generate_reply(user_input="Note my e-mail address first.", tool_choice="auto")
        self._on_finished("arranged")
        return "arranged"
