"""Run a proof, print its progress for people or its result for machines, and return the verdict as an exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Callable

from .._guard import SWITCH
from ..detection.config import DETECT, DETECT_AFTER
from ..environment.examination import Environment, NotExamined, examine
from ..environment.others import other_environments
from ..environment.text import json_text
from .run import Run, play

EXIT_WORKS, EXIT_DOES_NOT_WORK, EXIT_UNKNOWN = 0, 1, 3


class NotPlayed(Exception):
    """Nothing can be played in this environment; the message has the reason."""


@dataclass(frozen=True)
class Proof:
    """An agent and the environments to play it in: name -> (title, variables). The last run must complete."""

    agent: str
    environments: Mapping[str, tuple[str, Mapping[str, str]]]
    verdict: Callable[[Environment, Mapping[str, Run]], str]


def verify(proof: Proof, *, patience: float, as_json: bool) -> int:
    """Play a proof and print what happened. ``patience`` is in seconds, see ``play``.

    Return 0 if the last run completes, 1 if it does not, and 3 if it could not be run, or if programs may use another
    environment. Raise ``NotPlayed`` if there is nothing to play.
    """
    environment = _examine()
    warnings = other_environments(environment)
    runs = {}
    if not as_json:
        print(f"{environment.in_words()}\nlivekit-agents is imported from {environment.library_folder}")
        print("".join(f"warning: {warning}\n" for warning in warnings), end="")
        print(
            f"A dot is a second without a step. A run ends when it is deadlocked, or after {patience:g} s without one."
        )
    for name, (title, variables) in proof.environments.items():
        if as_json:
            runs[name] = asyncio.run(play(proof.agent, variables, patience=patience))
        else:
            print(f"\n{title}:", flush=True)
            runs[name] = _run_with_progress(proof.agent, variables, patience)
    verdict = proof.verdict(environment, runs)
    if as_json:
        outcomes = {name: asdict(run) for name, run in runs.items()}
        print(json_text({**environment.as_object(), "warnings": warnings, **outcomes, "verdict": verdict}))
    else:
        print(f"\n{verdict}")
    if runs[name].outcome != "completed":
        return EXIT_UNKNOWN if runs[name].outcome == "not run" else EXIT_DOES_NOT_WORK
    return EXIT_UNKNOWN if warnings else EXIT_WORKS


def _examine() -> Environment:
    try:
        environment = examine()
    except NotExamined as error:
        raise NotPlayed(error) from error
    if environment.library_folder is None or environment.state == "predates":
        raise NotPlayed(environment.reason)
    return environment


def _run_with_progress(agent: str, variables: Mapping[str, str], patience: float) -> Run:
    progress = _ProgressPrinter()
    run = asyncio.run(play(agent, variables, patience=patience, progress=progress))
    progress.end_line()
    print(f"  {_ending(run)}")
    if not any("deadlock:" in record for record in run.log):
        for wait in run.waits:
            print(f"    {wait}")
    return run


class _ProgressPrinter:
    """Print the steps of a run as they happen, what is logged, and a dot for each second without a step."""

    def __init__(self) -> None:
        self._is_in_line_of_dots = False

    def __call__(self, fact: dict[str, Any]) -> None:
        if "step" in fact:
            self.end_line()
            print(f"  {fact['seconds']:7.3f} s  {fact['step']}", flush=True)
        elif "log" in fact:
            self.end_line()
            print("\n".join(f"    | {line}" for line in fact["log"].splitlines()), flush=True)
        elif "waiting" in fact:
            print("" if self._is_in_line_of_dots else "  ", end=".", flush=True)
            self._is_in_line_of_dots = True

    def end_line(self) -> None:
        """End the line of dots, if there is one."""
        if self._is_in_line_of_dots:
            print()
        self._is_in_line_of_dots = False


def _ending(run: Run) -> str:
    if run.seconds is None:
        return f"could not be run: {run.error}"
    if run.outcome == "completed":
        return f"completed in {run.seconds:.3f} s"
    return f"hung: nothing moved any more after {run.seconds:.3f} s"


def _verdict_on_the_fix(environment: Environment, runs: Mapping[str, Run]) -> str:
    name = f"livekit-agents {environment.livekit_agents}"
    without, with_shim = runs["without"].outcome, runs["with"].outcome
    if with_shim == "not run":
        return f"No verdict: the pattern could not be run on {name}."
    if with_shim != "completed":
        return f"NOT FIXED: on {name} the agent hangs even with the shim ({environment.state})."
    if without == "completed":
        return f"Nothing to fix: the pattern completes on {name} without the shim, and with it as well."
    if without == "hung":
        return f"Fixed: on {name} the pattern completes with the shim, and without it it hangs."
    return f"Works: on {name} the pattern completes with the shim; the run without it is inconclusive ({without})."


def _verdict_on_detection(environment: Environment, runs: Mapping[str, Run]) -> str:
    name = f"livekit-agents {environment.livekit_agents}"
    off, report, resolve = (runs[mode].outcome for mode in ("off", "report", "resolve"))
    if resolve == "not run":
        return f"No verdict: the handoff could not be run on {name}."
    if resolve != "completed":
        return f"NOT RESOLVED: on {name} the handoff does not complete with detection either."
    if off == "completed":
        return f"Nothing to resolve: the handoff completes on {name} without detection as well."
    if off == report == "hung" and any("deadlock:" in line for line in runs["report"].log):
        return f"Resolved: on {name} the handoff that waits for itself is reported, and is released where that is safe."
    return f"Works: on {name} the handoff completes when resolved; the other runs are inconclusive ({off}, {report})."


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
