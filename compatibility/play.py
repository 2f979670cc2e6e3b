"""Play the scenarios on one release, without the shim, with it and with detection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .data import PATTERN, ROOT, Row
from .environments import make, run

_SOON = {"ONENTER_DEADLOCK_FIX_DETECT_AFTER": "0.05"}  # before a scenario takes its next step


@dataclass(frozen=True)
class Played:
    """The outcomes, as ``python -m scenarios`` prints them.

    without: all scenarios without the shim.
    default: the pattern, with the shim as it is where nobody has asked for anything.
    report: all scenarios with the shim and detection in the mode ``report``, which looks very soon.
    resolve: the scenarios of which something is declared, in the mode ``resolve``.
    """

    row: Row
    without: dict[str, Any]
    default: dict[str, Any]
    report: dict[str, Any]
    resolve: dict[str, Any]


def build(folder: Path) -> str:
    """Build the project's wheel and return its path."""
    run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)])
    (wheel,) = folder.glob("*.whl")
    return str(wheel)


def play(row: Row, folder: Path, wheel: str, named: Sequence[str]) -> Played:
    """Return the outcomes of all scenarios, or of those that are named. ``folder`` is that of an environment.

    Raise NotPlayed if the environment can't be made.
    """
    python = make(folder, row, wheel)
    extension = {} if row.extension else {"WRAPT_DISABLE_EXTENSIONS": "1"}

    def scenarios(*names: str, **environment: str) -> Any:
        command = [python, "-W", "ignore", "-m", "scenarios", "--at-once", "2", *names]
        return json.loads(run(command, **extension, **environment).stdout)

    named = [*named, PATTERN] if named else []
    without = scenarios(*named, ONENTER_DEADLOCK_FIX="off")
    declared = [name for name, expected in without["declared"].items() if expected] or [PATTERN]
    return Played(
        row,
        without,
        default=scenarios(PATTERN),
        report=scenarios(*named, ONENTER_DEADLOCK_FIX_DETECT="report", **_SOON),
        resolve=scenarios(*declared, ONENTER_DEADLOCK_FIX_DETECT="resolve", **_SOON),
    )
