"""Both runs of the pattern, told to people as they go or to machines at the end, and the verdict."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

from .._environment import versions, versions_in_words
from .._status import Status
from .run import Run, play

EXIT_WORKS, EXIT_DOES_NOT_WORK, EXIT_NOT_RUN = 0, 1, 2


def verify(status: Status, *, patience: float, as_json: bool) -> int:
    """Play the pattern without the shim and with it, and print what happened.

    ``status`` is the shim's in this environment; ``patience`` is in seconds, see ``play``. Returns the exit code: 0
    where the run with the shim completes, 1 where it does not, 2 where it could not be run.
    """
    if as_json:
        without, with_shim = (asyncio.run(play(shim=shim, patience=patience)) for shim in (False, True))
    else:
        print(versions_in_words(status))
        without, with_shim = (_run_told(shim=shim, patience=patience) for shim in (False, True))
    verdict = _verdict(status, without=without, with_shim=with_shim)
    if as_json:
        runs = {"without": asdict(without), "with": asdict(with_shim)}
        print(json.dumps({**versions(status), **runs, "verdict": verdict}))
    else:
        print(f"\n{verdict}")
    return {"completed": EXIT_WORKS, "not run": EXIT_NOT_RUN}.get(with_shim.outcome, EXIT_DOES_NOT_WORK)


def _run_told(*, shim: bool, patience: float) -> Run:
    print("\nWith the shim:" if shim else "\nWithout the shim:", flush=True)
    teller = _Teller()
    run = asyncio.run(play(shim=shim, patience=patience, progress=teller))
    teller.end_line()
    print(f"  {_ending(run)}")
    for wait in run.waits:
        print(f"    {wait}")
    return run


class _Teller:
    """Prints the steps of a run as they happen, and a dot for each second without one."""

    def __init__(self) -> None:
        self._dots = False

    def __call__(self, fact: dict[str, Any]) -> None:
        if "step" in fact:
            self.end_line()
            print(f"  {fact['seconds']:7.3f} s  {fact['step']}", flush=True)
        elif "waiting" in fact:
            print("" if self._dots else "  ", end=".", flush=True)
            self._dots = True

    def end_line(self) -> None:
        if self._dots:
            print()
        self._dots = False


def _ending(run: Run) -> str:
    if run.seconds is None:
        return f"could not be run: {run.error}"
    if run.outcome == "completed":
        return f"completed in {run.seconds:.3f} s"
    circle = ", though no circle of waits is seen" if run.outcome == "stuck" else ""
    return f"{run.outcome}: nothing moved any more after {run.seconds:.3f} s{circle}"


def _verdict(status: Status, *, without: Run, with_shim: Run) -> str:
    name = f"livekit-agents {status.livekit_agents}"
    if with_shim.outcome == "not run":
        return f"No verdict: the pattern could not be run on {name}."
    if with_shim.outcome != "completed":
        return f"NOT FIXED: on {name} the pattern does not complete, with the shim either ({status.state})."
    if without.outcome == "completed":
        return f"Nothing to fix: the pattern completes on {name} without the shim, and with it as well."
    if without.outcome == "deadlock":
        return f"Fixed: on {name} the pattern completes with the shim, and without it it does not."
    return f"Works: on {name} the pattern completes with the shim; the run without it says nothing ({without.outcome})."
