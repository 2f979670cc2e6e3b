"""The ways to switch the shim on in the processes that the tests start, and what it logs there."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGE = Path(importlib.util.find_spec("onenter_deadlock_fix").origin).parent  # not imported: that would activate it


@dataclass(frozen=True)
class Activation:
    """A way to switch the shim on: what stands before the command, in the environment, and in the agent program."""

    launcher: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    program: str = "agent_program"


ACTIVATIONS = {
    "nothing": Activation(),
    "import": Activation(program="agent_program_with_import"),
    "PYTHONPATH": Activation(environment={"PYTHONPATH": str(PACKAGE / "bootstrap")}),
    "run": Activation(launcher=[sys.executable, "-m", "onenter_deadlock_fix", "run"]),
    "autowrapt": Activation(environment={"AUTOWRAPT_BOOTSTRAP": "onenter_deadlock_fix"}),
}


def records(log: Path) -> list[dict[str, Any]]:
    """Return the shim's records in a worker's log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["name"] == "onenter_deadlock_fix"]
