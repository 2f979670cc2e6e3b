"""Play a program of the docs with a scripted model: ``python documented_program.py FILE AGENT TOOL``.

The program completes when TOOL has returned. Print a JSON object: whether the program completes, what the shim has
logged, and, where it hangs, what livekit-agents logs when the user speaks and types. Names that an extract lacks are
provided.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import runpy
import sys
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm
from turns import user_has_spoken

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
        fields = [name for name in ("deadlock", "wait", "let_go") if hasattr(record, name)]
        text = f"{record.levelname} {record.name} - {record.getMessage()}"
        error = record.exc_info and record.exc_info[1]
        if error:
            text += f"\n{type(error).__name__}: {error}"
        self.kept.append({"text": text, "fields": fields})


def keep_records_of(name: str, level: int) -> Records:
    """Return the records of a logger, which go nowhere else."""
    records = Records()
    logger = logging.getLogger(name)
    logger.addHandler(records)
    logger.setLevel(level)
    logger.propagate = False
    return records


async def speak_and_type(session: AgentSession[Any]) -> list[str]:
    """Have the user speak, and then type, and return what livekit-agents logs."""
    records = keep_records_of("livekit.agents", logging.WARNING)
    user_has_spoken(session._activity, "Hello?")
    with contextlib.suppress(RuntimeError):  # that speech can't be scheduled
        session.generate_reply(user_input="Hello?")
    for _ in range(20):
        await asyncio.sleep(0)
    return [record["text"] for record in records.kept]


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

    records = keep_records_of("onenter_deadlock_fix", logging.INFO)
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
    symptoms = await speak_and_type(session) if outcome == "hung" else []
    print(json.dumps({"outcome": outcome, "log": records.kept, "symptoms": symptoms}), flush=True)
    os._exit(0)  # a session that hangs can't be closed


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
