"""One run of an agent in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

_LONGEST_SILENCE = 120.0  # seconds; once livekit-agents is imported, a run says something every second


@dataclass
class Run:
    """How a run ended.

    outcome: ``completed``, ``hung`` or ``not run``.
    seconds: when the run last moved, counted from its beginning; None if it has not begun.
    waits: who waits for whom where it hung, if that is known to be a deadlock.
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
    """Play one of ``agents.AGENTS``, with these variables beside those of this process, and return how that ended.

    A run that takes no step for ``patience`` seconds hangs. ``progress`` is called with what the run tells as it goes
    (see ``play.py``).
    """
    run = Run(error="the process ended early")
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"{__package__}.play", agent, str(patience)),
            cwd=Path(__file__).parents[2],  # and not the user's folder, since -m imports from the current one
            env={**_environment(), **environment},
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
        run = Run(error=f"the process said nothing for {_LONGEST_SILENCE:.0f} seconds")
        process.kill()
    except asyncio.CancelledError:
        process.kill()
        raise
    said = [line.strip() for line in (await errors).decode(errors="replace").splitlines() if line.strip()]
    await process.wait()
    run.log = log
    if run.outcome == "not run" and said:
        run.error = f"{run.error}: {said[-1]}"
    return run


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    if environment.get("PYTHONPATH"):
        entries = environment["PYTHONPATH"].split(os.pathsep)  # relative to the user's folder
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries))
    return environment


async def _facts(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), _LONGEST_SILENCE):
        try:
            fact = json.loads(line)
        except ValueError:
            continue  # a sitecustomize or a plugin of the environment that prints
        if isinstance(fact, dict):
            yield fact
