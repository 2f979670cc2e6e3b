"""Plays a program of the docs with a scripted model: ``python documented_program.py FILE AGENT TOOL``.

It is over when TOOL has returned. What came of it is a JSON object on standard output: whether it completes, and what
the shim logged. What an extract does not have is given to it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import sys
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm

from onenter_deadlock_fix.verify.scripted_model import Answer, ScriptedLLM, ToolCall, cue

PATIENCE = 3.0  # seconds; a program that completes takes a few hundredths
ADDRESS = "alice@example.com"


class AddressTask(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        self.complete(ADDRESS)


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = [name for name in ("deadlock", "wait", "release") if hasattr(record, name)]
        text = f"{record.levelname} {record.name} - {record.getMessage()}"
        self.kept.append({"text": text, "fields": fields})


async def main(file: str, agent: str, tool: str) -> None:
    over = asyncio.Event()

    def script(chat_ctx: llm.ChatContext) -> Answer:
        last = cue(chat_ctx)
        if last.role == "tool":
            if last.tool == tool:
                over.set()
            return "Thank you."
        if "call me" in last.text:
            return [ToolCall("arrange_call")]
        if "Ask" in last.text:
            return [ToolCall("note_address", {"address": ADDRESS})]
        return [ToolCall("collect_address")] if "address" in last.text else "Hello."

    records = Records()
    logger = logging.getLogger("onenter_deadlock_fix")
    logger.addHandler(records)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    given = {"Agent": Agent, "AgentTask": AgentTask, "function_tool": function_tool, "AddressTask": AddressTask}
    made = runpy.run_path(file, given)
    session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(script))
    await session.start(made[agent](instructions="Help the caller."))
    if tool == "arrange_call":
        session.generate_reply(user_input="Please call me.")
    try:
        await asyncio.wait_for(over.wait(), PATIENCE)
        outcome = "completed"
    except asyncio.TimeoutError:
        outcome = "hung"
    print(json.dumps({"outcome": outcome, "log": records.kept}), flush=True)
    os._exit(0)  # a session that hangs can't be closed


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
