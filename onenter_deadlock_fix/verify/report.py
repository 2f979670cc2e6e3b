"""The runs of a proof, told to people as they go or to machines at the end, and the verdict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Callable

from .._environment import versions, versions_in_words
from .._guard import SWITCH
from .._status import Status
from ..detection.config import DETECT, DETECT_AFTER
from .run import Run, play

EXIT_WORKS, EXIT_DOES_NOT_WORK, EXIT_NOT_RUN = 0, 1, 2


@dataclass(frozen=True)
class Proof:
    """What is played: an agent, in several environments by name and title. The last run is the one to complete."""

    agent: str
    environments: Mapping[str, tuple[str, Mapping[str, str]]]
    verdict: Callable[[Status, Mapping[str, Run]], str]


def verify(proof: Proof, status: Status, *, patience: float, as_json: bool) -> int:
    """Play a proof and print what happened.

    ``status`` is the shim's in this environment; ``patience`` is in seconds, see ``play``. Returns the exit code: 0
    where the last run completes, 1 where it does not, 2 where it could not be run.
    """
    runs = {}
    if not as_json:
        print(versions_in_words(status))
    for name, (title, environment) in proof.environments.items():
        if as_json:
            runs[name] = asyncio.run(play(proof.agent, environment, patience=patience))
        else:
            print(f"\n{title}:", flush=True)
            runs[name] = _run_told(proof.agent, environment, patience)
    verdict = proof.verdict(status, runs)
    if as_json:
        told = {name: asdict(run) for name, run in runs.items()}
        print(json.dumps({**versions(status), **told, "verdict": verdict}))
    else:
        print(f"\n{verdict}")
    return {"completed": EXIT_WORKS, "not run": EXIT_NOT_RUN}.get(runs[name].outcome, EXIT_DOES_NOT_WORK)


def _run_told(agent: str, environment: Mapping[str, str], patience: float) -> Run:
    teller = _Teller()
    run = asyncio.run(play(agent, environment, patience=patience, progress=teller))
    teller.end_line()
    print(f"  {_ending(run)}")
    if not run.log:
        for wait in run.waits:
            print(f"    {wait}")
    return run


class _Teller:
    """Prints the steps of a run as they happen, what is logged, and a dot for each second without either."""

    def __init__(self) -> None:
        self._dots = False

    def __call__(self, fact: dict[str, Any]) -> None:
        if "step" in fact:
            self.end_line()
            print(f"  {fact['seconds']:7.3f} s  {fact['step']}", flush=True)
        elif "log" in fact:
            self.end_line()
            print("\n".join(f"    | {line}" for line in fact["log"].splitlines()), flush=True)
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


def _verdict_on_the_fix(status: Status, runs: Mapping[str, Run]) -> str:
    name = f"livekit-agents {status.livekit_agents}"
    without, with_shim = runs["without"].outcome, runs["with"].outcome
    if with_shim == "not run":
        return f"No verdict: the pattern could not be run on {name}."
    if with_shim != "completed":
        return f"NOT FIXED: on {name} the pattern does not complete, with the shim either ({status.state})."
    if without == "completed":
        return f"Nothing to fix: the pattern completes on {name} without the shim, and with it as well."
    if without == "deadlock":
        return f"Fixed: on {name} the pattern completes with the shim, and without it it does not."
    return f"Works: on {name} the pattern completes with the shim; the run without it says nothing ({without})."


def _verdict_on_detection(status: Status, runs: Mapping[str, Run]) -> str:
    name = f"livekit-agents {status.livekit_agents}"
    off, report, resolve = (runs[mode].outcome for mode in ("off", "report", "resolve"))
    if resolve == "not run":
        return f"No verdict: the hand-over could not be run on {name}."
    if resolve != "completed":
        return f"NOT RESOLVED: on {name} the hand-over does not complete with detection either ({status.detection})."
    if off == "completed":
        return f"Nothing to resolve: the hand-over completes on {name} without detection as well."
    if off == "deadlock" and report == "deadlock" and any("deadlock:" in line for line in runs["report"].log):
        return (
            f"Resolved: on {name} the hand-over that waits for itself is reported, and goes on where it may be let go."
        )
    return f"Works: on {name} the hand-over completes when resolved; the other runs say nothing ({off}, {report})."


_WITHOUT_DETECTION = {DETECT: "off"}

FIX = Proof(
    "pattern",
    {
        "without": ("Without the shim", {SWITCH: "off", **_WITHOUT_DETECTION}),
        "with": ("With the shim", {SWITCH: "on", **_WITHOUT_DETECTION}),
    },
    _verdict_on_the_fix,
)
DETECTION = Proof(
    "nested",
    {
        "off": ("Without detection", {SWITCH: "on", **_WITHOUT_DETECTION}),
        **{
            mode: (f"With {DETECT}={mode}", {SWITCH: "on", DETECT: mode, DETECT_AFTER: "1"})
            for mode in ("report", "resolve")
        },
    },
    _verdict_on_detection,
)
