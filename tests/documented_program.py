"""Plays a program of the docs with a scripted model. What an extract does not have is given to it."""

from __future__ import annotations

import asyncio
import runpy
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm

from onenter_deadlock_fix.verify.scripted_model import Answer, ScriptedLLM, ToolCall, cue

ADDRESS = "alice@example.com"


class AddressTask(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        self.complete(ADDRESS)


async def documented(file: str, agent: str, tool: str) -> None:
    """Play an agent of a file until the tool has returned."""
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

    given = {"Agent": Agent, "AgentTask": AgentTask, "function_tool": function_tool, "AddressTask": AddressTask}
    made = runpy.run_path(file, given)
    session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(script))
    await session.start(made[agent](instructions="Help the caller."))
    if tool == "arrange_call":
        session.generate_reply(user_input="Please call me.")
    await over.wait()
