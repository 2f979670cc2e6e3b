"""The pattern that deadlocks, as an agent program has it, played once in this process.

``python -m onenter_deadlock_fix.verify.pattern SECONDS`` writes JSON objects to standard output, one a line: a ``step``
as it happens, ``waiting`` each second without one, the ``outcome`` at the end, which SECONDS without a step bring.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm

from .scripted_model import Answer, ScriptedLLM, ToolCall, cue
from .waits import deadlock, waits

ADDRESS = "alice@example.com"
WHAT_THE_USER_SAYS = {
    "What is your e-mail address?": "It is alice at example dot com.",
    f"Is {ADDRESS} right?": "Yes, that is right.",
}


def script(chat_ctx: llm.ChatContext) -> Answer:
    """What the language model answers."""
    last = cue(chat_ctx)
    if last.tool == "update_address":
        return f"Is {ADDRESS} right?"
    if last.tool == "collect_address":
        return f"Thank you, we will write to {last.text}."
    if last.role == "user" and "at example dot com" in last.text:
        return [ToolCall("update_address", {"address": ADDRESS})]
    if last.role == "user":
        return [ToolCall("confirm_address")]
    if "front desk" in last.text:
        return [ToolCall("collect_address")]
    return "What is your e-mail address?"


class AddressTask(AgentTask[str]):
    """Asks for an e-mail address and for its confirmation, over two turns of the user."""

    def __init__(self, play: Play) -> None:
        super().__init__(instructions="Ask the user for an e-mail address.")
        self._play = play
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
        self._play.step(f"the AgentTask completes with {self._address}")
        complete = getattr(self, "complete", None) or getattr(self, "_complete")  # noqa: B009  # the latter in 2.0.0b1
        complete(self._address)


class FrontDesk(Agent):
    """An agent whose on_enter awaits a reply; the reply's tool awaits the AgentTask."""

    def __init__(self, play: Play) -> None:
        super().__init__(instructions="You are the front desk.")
        self._play = play
        self._address = ""

    async def on_enter(self) -> None:
        self._play.step("on_enter awaits generate_reply()")
        await self.session.generate_reply()
        self._play.step("on_enter goes on")
        if self._address == ADDRESS:
            self._play.over.set()

    @function_tool
    async def collect_address(self) -> str:
        """Collects the user's e-mail address."""
        self._play.step("the reply's tool awaits an AgentTask")
        self._address = await AddressTask(self._play)
        self._play.step(f"the tool returns {self._address}")
        return self._address


class Play:
    """One run of the pattern: its session, its user, and what has happened so far."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self._began = self._moved = time.monotonic()
        self._asked: asyncio.Queue[str] = asyncio.Queue()

    def step(self, what: str) -> None:
        """Note that the run has moved, and tell it."""
        self._moved = time.monotonic()
        _tell(step=what, seconds=self._seconds())

    async def run(self, patience: float) -> None:
        """Play until on_enter has gone on or nothing has moved for ``patience`` seconds, then tell the outcome."""
        session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(script))
        session.on("conversation_item_added", self._on_item_added)
        user = asyncio.create_task(self._user(session))
        await session.start(FrontDesk(self))
        while not self.over.is_set() and self._moved + patience > time.monotonic():
            try:
                await asyncio.wait_for(self.over.wait(), 1.0)
            except asyncio.TimeoutError:
                _tell(waiting=round(time.monotonic() - self._moved))
        user.cancel()
        if self.over.is_set():
            _tell(outcome="completed", seconds=self._seconds())
        else:
            circle = deadlock()
            _tell(
                outcome="deadlock" if circle else "stuck",
                seconds=self._seconds(),
                waits=[str(wait) for wait in circle or waits()],
            )

    def _on_item_added(self, event: Any) -> None:
        message = event.item
        if message.type == "message" and message.text_content:
            self.step(f"{message.role}: {message.text_content}")
            if message.role == "assistant":
                self._asked.put_nowait(message.text_content)

    async def _user(self, session: AgentSession[Any]) -> None:
        while True:
            answer = WHAT_THE_USER_SAYS.get(await self._asked.get())
            if answer:
                session.generate_reply(user_input=answer)

    def _seconds(self) -> float:
        """Return when the run has last moved, in seconds from its beginning."""
        return round(self._moved - self._began, 3)


def _tell(**fact: Any) -> None:
    print(json.dumps(fact), flush=True)


async def main(patience: float) -> None:
    await Play().run(patience)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
