"""Play a program of the docs with a scripted model. Names that an extract lacks are provided.

As a program (``python documented_program.py FILE``) it prints what livekit-agents logs where the README's code hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import runpy
import sys
from typing import Any, Callable

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm
from recorder import Recorder
from turns import user_has_spoken
from virtual_time import VirtualTimeLoop

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
    session = await start(file, agent, lambda returned: over.set() if returned == tool else None)
    if tool == "arrange_call":
        session.generate_reply(user_input="Please call me.")
    await over.wait()


async def symptoms(file: str) -> list[str]:
    """Play FrontDesk of a file, and return what livekit-agents logs when the user speaks and then types."""
    session = await start(file, "FrontDesk", lambda returned: None)
    await asyncio.sleep(1)  # of virtual time: it hangs then
    recorder = Recorder()
    logger = logging.getLogger("livekit.agents")
    logger.addHandler(recorder)
    user_has_spoken(session._activity, "Hello?")
    with contextlib.suppress(RuntimeError):  # that speech can't be scheduled
        session.generate_reply(user_input="Hello?")
    await asyncio.sleep(1)
    lines = []
    for record in recorder.records:
        error = record.exc_info and record.exc_info[1]
        lines.append(f"{record.levelname} {record.name} - {record.getMessage()}")
        lines += [f"{type(error).__name__}: {error}"] if error else []
    return lines


async def start(file: str, agent: str, on_return: Callable[[str], object]) -> AgentSession[Any]:
    """Start a session with an agent of a file; ``on_return`` is called with the name of a tool that has returned."""

    def script(chat_ctx: llm.ChatContext) -> Answer:
        last = cue(chat_ctx)
        if last.role == "tool":
            on_return(last.tool)
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
    return session


if __name__ == "__main__":
    loop = VirtualTimeLoop()
    asyncio.set_event_loop(loop)
    print(json.dumps(loop.run_until_complete(symptoms(sys.argv[1]))), flush=True)
    os._exit(0)  # a session that hangs can't be closed
