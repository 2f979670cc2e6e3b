"""The processes that the tests start: how the shim is switched on in them, and how long they are waited for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

HERE = Path(__file__).parent
PACKAGE = Path(importlib.util.find_spec("onenter_deadlock_fix").origin).parent  # not imported: that would activate it
PATIENCE = 120  # seconds; on a quiet machine nothing here takes 10, but the machine may be busy


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


def wait_until(
    condition: Callable[[], object],
    process: subprocess.Popen[bytes],
    report: Callable[[], str] = str,
    pause: Callable[[], None] = lambda: time.sleep(0.05),
) -> None:
    """Wait until the condition holds; fail with a report where the process ends before, or takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        returncode = process.poll()
        if returncode is not None and not condition():
            raise AssertionError(f"the process has ended with {returncode}\n{report()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing has happened for {PATIENCE} seconds\n{report()}")
        pause()
