"""A worker that no LiveKit server knows, with one job: the agent program's, in a room that livekit-agents makes up.

``python worker.py start`` and ``python worker.py dev`` are livekit-agents' own commands, which end when the job ends.
In the environment are PROGRAM, START_METHOD and RESULT: a file for how the job went, as a JSON object, which the job
writes itself when it shuts down, or when it has found itself in a deadlock.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
from livekit.agents import AgentServer, JobContext, JobExecutorType, cli
from openai_endpoint import USER_ANSWERS

# Job processes by spawn and by forkserver run this module again, as they do with an agent program's.
program = importlib.import_module(os.environ["PROGRAM"])
_result = os.environ["RESULT"]
_shim = sys.modules.get("onenter_deadlock_fix")  # as it was activated; the import below comes later
_in_thread = os.environ["START_METHOD"] == "thread"
server = AgentServer(
    multiprocessing_context="forkserver" if _in_thread else os.environ["START_METHOD"],
    job_executor_type=JobExecutorType.THREAD if _in_thread else JobExecutorType.PROCESS,
    initialize_process_timeout=600,  # it imports a lot, and the machine may be busy
    num_idle_processes=0,
    host="127.0.0.1",
    port=0,
)


@server.rtc_session()
async def watched_entrypoint(ctx: JobContext) -> None:
    async def record_end(reason: str) -> None:
        _record(ctx, ended=reason)

    ctx.add_shutdown_callback(record_end)
    await program.entrypoint(ctx)
    if os.environ["MODEL"] == "llm":
        session = ctx._primary_agent_session
        session.on("conversation_item_added", lambda event: _answer_as_user(session, event.item))
    if _shim is None:
        os.environ["ONENTER_DEADLOCK_FIX"] = "off"  # or else the next line would activate it
    from onenter_deadlock_fix import detection

    patience = 20  # tenths of a second, in which detection may resolve it
    while not (cycle := detection.cycle()) or (patience := patience - 1):
        await asyncio.sleep(0.1)
    _record(ctx, deadlock=cycle)


def _answer_as_user(session: Any, item: Any) -> None:
    if item.role == "assistant" and item.text_content in USER_ANSWERS:
        session.generate_reply(user_input=USER_ANSWERS[item.text_content])


def _record(ctx: JobContext, **outcome: object) -> None:
    process = psutil.Process()
    result = {"pid": process.pid, "command": " ".join(process.cmdline()), "executor": ctx.proc.executor_type.value}
    status = _shim and _shim.status()
    result.update(shim=status and status.state, detection=status and status.detection)
    result.update(outcome, handoffs=status and status.handoffs)
    unfinished = Path(f"{_result}.unfinished")
    unfinished.write_text(json.dumps(result))
    unfinished.rename(_result)


async def one_job() -> None:
    await server.simulate_job("room", fake_job=True)
    await server.drain()
    # when the event loop is idle: what the command's handler raises in a callback would be lost
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()


if __name__ == "__main__":
    server.once("worker_started", lambda: asyncio.ensure_future(one_job()))
    cli.run_app(server)
