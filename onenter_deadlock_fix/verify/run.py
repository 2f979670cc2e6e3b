"""Play an agent in a process of its own, and return the outcome."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

# With -c, "" (the working directory) is on the path; remove it, so that nothing is imported from there. The folder of
# this package comes last, so that it does not change where livekit-agents is imported from.
_START = """
import sys
if "" in sys.path:
    sys.path.remove("")
sys.path.append(sys.argv.pop(1))
import asyncio
from onenter_deadlock_fix.verify.play import main
asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""
_LONGEST_SILENCE = 120.0  # seconds; once livekit-agents is imported, a run prints a line every second


@dataclass
class Run:
    """How a run ended.

    outcome: ``completed``, ``hung`` or ``not run``.
    seconds: the time of the last step, counted from the start; None if the run has not started.
    waits: who waits for whom if it hung in a known deadlock.
    log: what the shim has logged.
    error: why it could not be run, or None.
    """

    outcome: str = "not run"
    seconds: float | None = None
    waits: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    error: str | None = None


async def play(
    agent: str,
    environment: Mapping[str, str],
    *,
    patience: float,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Play one of ``agents.AGENTS``, with these additional environment variables, and return the outcome.

    A run counts as hung after ``patience`` seconds without a step, or as soon as a deadlock is found.
    ``progress`` is called with each fact of the run as it happens (see ``play.py``).
    """
    run = Run(error="the process ended early")
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _START, str(Path(__file__).parents[2]), agent, str(patience)),
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
        )
    except OSError as error:
        return Run(error=str(error))
    assert process.stderr is not None
    errors = asyncio.ensure_future(process.stderr.read())
    log = []
    try:
        async for fact in _facts(process):
            if progress:
                progress(fact)
            if "log" in fact:
                log.append(fact["log"])
            if "outcome" in fact:
                run = Run(**fact)
    except asyncio.TimeoutError:
        run = Run(error=f"the process printed nothing for {_LONGEST_SILENCE:.0f} seconds")
        process.kill()
    except asyncio.CancelledError:
        process.kill()
        raise
    lines = [line.strip() for line in (await errors).decode(errors="replace").splitlines() if line.strip()]
    await process.wait()
    run.log = log
    if run.outcome == "not run" and lines:
        run.error = f"{run.error}: {lines[-1]}"
    return run


async def _facts(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), _LONGEST_SILENCE):
        try:
            fact = json.loads(line)
        except ValueError:
            continue  # printed by a sitecustomize or a plugin
        if isinstance(fact, dict):
            yield fact
