"""A worker that no LiveKit server knows, with one job: the agent program's, in a room that livekit-agents makes up.

``python worker.py PROGRAM START_METHOD EXECUTOR RESULT`` ends when the job ends. How the job went is a JSON object in
the file RESULT, written by the job itself: when it shuts down, or when it has found itself in a deadlock.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil
from livekit.agents import AgentServer, JobContext, JobExecutorType
from livekit.agents.cli.log import setup_logging
from openai_endpoint import USER_ANSWERS

# Job processes by spawn and by forkserver run this module again, as they do with an agent program's.
_program_name, _start_method, _executor, _result = sys.argv[1:]
program = importlib.import_module(_program_name)
_shim = sys.modules.get("onenter_deadlock_fix")  # as it was activated; the import below comes later
server = AgentServer(
    multiprocessing_context=_start_method,
    job_executor_type=JobExecutorType(_executor),
    initialize_process_timeout=60,  # it imports a lot, and the machine may be busy
    host="127.0.0.1",
)


@server.rtc_session()
async def watched_entrypoint(ctx: JobContext) -> None:
    async def record_end(reason: str) -> None:
        _record(ctx, ended=reason)

    ctx.add_shutdown_callback(record_end)
    await program.entrypoint(ctx)
    if os.environ["MODEL"] == "llm":
        _listen_as_user(ctx)
    if _shim is None:
        os.environ["ONENTER_DEADLOCK_FIX"] = "off"  # or else the next line would activate it
    from onenter_deadlock_fix.detection.describe import deadlock
    from onenter_deadlock_fix.detection.graph import Graph

    patience = 20  # tenths of a second, in which detection may resolve it
    while not (circle := deadlock(Graph(asyncio.get_running_loop()))) or (patience := patience - 1):
        await asyncio.sleep(0.1)
    _record(ctx, deadlock=[waiter.wait for waiter in circle])


def _listen_as_user(ctx: JobContext) -> None:
    session = ctx._primary_agent_session

    def on_item_added(event: Any) -> None:
        if event.item.role == "assistant" and event.item.text_content in USER_ANSWERS:
            session.generate_reply(user_input=USER_ANSWERS[event.item.text_content])

    session.on("conversation_item_added", on_item_added)


def _record(ctx: JobContext, **outcome: object) -> None:
    status = _shim and _shim.status()
    result = {
        **outcome,
        "shim": status and status.state,
        "detection": status and status.detection,
        "pid": os.getpid(),
        "command": " ".join(psutil.Process().cmdline()),
        "executor": ctx.proc.executor_type.value,
    }
    unfinished = Path(f"{_result}.unfinished")
    unfinished.write_text(json.dumps(result))
    unfinished.rename(_result)


async def main() -> None:
    setup_logging("INFO", devmode=False, console=False)  # to standard output, as JSON
    running = asyncio.create_task(server.run(devmode=True, unregistered=True))
    started = asyncio.Event()
    server.once("worker_started", started.set)
    await started.wait()
    await server.simulate_job("room", fake_job=True)
    await server.drain()
    await server.aclose()
    await running


if __name__ == "__main__":
    asyncio.run(main())
