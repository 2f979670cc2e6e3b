"""Programs whose handoffs the fix changes, or has nothing to change in: ``python handoff_program.py NAME [HANDLER]``.

What came of it is a JSON object on standard output: whether it completes, what the fix logged, and how many handoffs it
says that it changed. HANDLER is ``raises`` for a log handler that raises.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm

import onenter_deadlock_fix
from onenter_deadlock_fix.verify.scripted_model import Answer, ScriptedLLM, ToolCall, cue

PATIENCE = 3.0  # seconds; a program that completes takes a few hundredths


def script(chat_ctx: llm.ChatContext) -> Answer:
    """Call the tool that an agent's instructions name, and be content with what it returns."""
    last = cue(chat_ctx)
    return [ToolCall(last.text)] if last.role == "system" and last.text else "done"


class Name(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        self.complete("Ada")


class Person(AgentTask[str]):
    """Awaits another AgentTask itself."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        self.complete(await Name())


class PersonByTool(AgentTask[str]):
    """The pattern in an AgentTask."""

    def __init__(self) -> None:
        super().__init__(instructions="ask_name")

    async def on_enter(self) -> None:
        await self.session.generate_reply()

    @function_tool
    async def ask_name(self) -> None:
        """Asks for the name."""
        self.complete(await Name())


class Desk(Agent):
    """The pattern: on_enter awaits a reply, whose tool awaits an AgentTask."""

    task: type[AgentTask[str]] = Name

    def __init__(self) -> None:
        super().__init__(instructions="collect")
        self.over = asyncio.Event()

    async def on_enter(self) -> None:
        await self.session.generate_reply()
        self.over.set()

    @function_tool
    async def collect(self) -> str:
        """Collects."""
        return await self.task()


class DeskThatAsksForAPerson(Desk):
    task = Person


class DeskWithThePatternTwice(Desk):
    task = PersonByTool


class DeskThatHandsOverItself(Desk):
    async def on_enter(self) -> None:
        await self.task()
        self.over.set()


class DeskThatAsksForAPersonItself(DeskThatHandsOverItself):
    task = Person


class DeskThatDoesNotWait(Desk):
    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def collect(self) -> str:
        """Collects."""
        name = await Name()
        self.over.set()
        return name


PROGRAMS: dict[str, list[type[Desk]]] = {
    "pattern": [Desk],
    "pattern_in_three_sessions": [Desk, Desk, Desk],
    "pattern_in_an_agent_task": [DeskWithThePatternTwice],
    "agent_task_that_hands_over_itself": [DeskThatAsksForAPerson],
    "on_enter_that_hands_over_itself": [DeskThatHandsOverItself],
    "on_enter_that_hands_over_to_one_that_does": [DeskThatAsksForAPersonItself],
    "on_enter_is_over": [DeskThatDoesNotWait],
}


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[list[str]] = []

    def handle(self, record: logging.LogRecord) -> bool:
        self.kept.append([record.levelname, record.getMessage()])
        if "raises" in sys.argv:
            raise RuntimeError("the program's own logging is broken")
        return True


async def main() -> None:
    records = Records()
    logger = logging.getLogger("onenter_deadlock_fix")
    logger.addHandler(records)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    outcome = "completed"
    for agent_class in PROGRAMS[sys.argv[1]]:
        session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(script))
        agent = agent_class()
        await session.start(agent)
        try:
            await asyncio.wait_for(agent.over.wait(), PATIENCE)
        except asyncio.TimeoutError:
            outcome = "hung"
    told = {"outcome": outcome, "log": records.kept, "handoffs": onenter_deadlock_fix.status().handoffs}
    print(json.dumps(told), flush=True)
    os._exit(0)  # a session that hangs can't be closed


if __name__ == "__main__":
    asyncio.run(main())
