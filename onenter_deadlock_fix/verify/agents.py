"""Define the agents that ``verify`` plays; they hang without the shim, or without detection."""

from __future__ import annotations

from typing import Any, Callable

from livekit.agents import Agent, AgentTask, function_tool, llm

from .scripted_model import Answer, ToolCall, cue

ADDRESS = "alice@example.com"
USERS_ANSWERS = {
    "What is your e-mail address?": "It is alice at example dot com.",
    f"Is {ADDRESS} right?": "Yes, that is right.",
}

Step = Callable[[str], None]  # called with a description of what happens


def complete(agent_task: AgentTask[Any], result: Any) -> None:
    """Complete an AgentTask; 2.0.0b1 has renamed the method."""
    (getattr(agent_task, "complete", None) or getattr(agent_task, "_complete"))(result)  # noqa: B009


def script(chat_ctx: llm.ChatContext) -> Answer:
    """Return the answer of the language model."""
    last = cue(chat_ctx)
    if last.tool == "update_address":
        return f"Is {ADDRESS} right?"
    if last.tool == "collect_address":
        return f"Thank you, we will write to {last.text}."
    if last.tool == "arrange_call":
        return "We will be in touch."
    if last.role == "user" and "call me" in last.text:
        return [ToolCall("arrange_call")]
    if last.role == "user" and "at example dot com" in last.text:
        return [ToolCall("update_address", {"address": ADDRESS})]
    if last.role == "user" and "address" not in last.text:
        return [ToolCall("confirm_address")]
    if "front desk" in last.text or last.role == "user":
        return [ToolCall("collect_address")]
    return "What is your e-mail address?"


class AddressTask(AgentTask[str]):
    """Asks for an e-mail address and for its confirmation, over two turns of the user."""

    def __init__(self, step: Step) -> None:
        super().__init__(instructions="Ask the user for an e-mail address.")
        self._step = step
        self._address = ""

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def update_address(self, address: str) -> str:
        """Called when the user has given an address."""
        self._address = address
        return f"Ask the user whether {address} is right."

    @function_tool
    async def confirm_address(self) -> None:
        """Called when the user has confirmed the address."""
        self._step(f"the AgentTask completes with {self._address}")
        complete(self, self._address)


class _Collecting(Agent):
    """An agent whose tool awaits the AgentTask. It calls ``on_finished`` at its end."""

    def __init__(self, instructions: str, step: Step, on_finished: Callable[[], object]) -> None:
        super().__init__(instructions=instructions)
        self._step = step
        self._on_finished = on_finished
        self._address = ""

    @function_tool
    async def collect_address(self) -> str:
        """Collects the user's e-mail address."""
        self._step("the reply's tool awaits an AgentTask")
        self._address = await AddressTask(self._step)
        self._step(f"the tool returns {self._address}")
        return self._address

    def _continue(self, who: str) -> None:
        self._step(f"{who} goes on")
        if self._address == ADDRESS:
            self._on_finished()


class FrontDesk(_Collecting):
    """The pattern: on_enter awaits a reply, whose tool awaits the AgentTask. Fixed in 1.3.6, and by the shim."""

    def __init__(self, step: Step, on_finished: Callable[[], object]) -> None:
        super().__init__("You are the front desk.", step, on_finished)

    async def on_enter(self) -> None:
        self._step("on_enter awaits generate_reply()")
        await self.session.generate_reply()
        self._continue("on_enter")


class Operator(_Collecting):
    """A tool awaits a reply, whose tool awaits the AgentTask. No release fixes this."""

    def __init__(self, step: Step, on_finished: Callable[[], object]) -> None:
        super().__init__("You arrange calls.", step, on_finished)

    async def on_enter(self) -> None:
        self.session.generate_reply(user_input="Please call me.")

    @function_tool
    async def arrange_call(self) -> str:
        """Called when the user wants to be called."""
        self._step("a tool awaits generate_reply()")
        await self.session.generate_reply(user_input="Note my address first.", tool_choice="auto")
        self._continue("the tool")
        return "arranged"


AGENTS: dict[str, Callable[[Step, Callable[[], object]], Agent]] = {"pattern": FrontDesk, "nested": Operator}
