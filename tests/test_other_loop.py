"""Detection knows a time-out from a deadlock in uvloop too, which does not show its timers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from programs import run

TESTS = Path(__file__).parent
SCENARIOS = {  # of scenarios/waits.py -> whether it is a deadlock
    "hangs_in_gather": True,
    "hangs_after_a_time_out": True,
    "ends_with_a_time_out": False,
    "ends_with_a_time_out_around_it": False,
    "ends_with_the_time_out_of_wait": False,
    "ends_when_a_timer_cancels_it": False,
    "ends_with_a_queue": False,
}


def test_time_out_is_no_deadlock_in_uvloop(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    (tmp_path / "sitecustomize.py").write_text(
        "import asyncio, uvloop\nuvloop.install()\nassert not hasattr(asyncio.new_event_loop(), '_scheduled')\n"
    )
    environment = {
        "PYTHONPATH": str(tmp_path),
        "ONENTER_DEADLOCK_FIX_DETECT": "report",
        "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "0.05",
    }
    ended = run([sys.executable, "-m", "scenarios", *SCENARIOS], cwd=TESTS, env=environment)
    assert ended.returncode == 0, ended.stderr
    played = json.loads(ended.stdout)
    called = {name: "ERROR" in {record["level"] for record in log} for name, log in played["log"].items()}
    assert called == SCENARIOS
    ends = {name: outcome["ended"] == "deadlock" for name, outcome in played["outcomes"].items()}
    assert ends == SCENARIOS
