"""A look calls nothing of the user's objects, whatever they are and wherever it comes past them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from programs import run

HERE = Path(__file__).parent


def test_deadlock_among_objects_that_fight_back_is_reported_and_none_of_them_is_called() -> None:
    environment = {"ONENTER_DEADLOCK_FIX_DETECT": "report", "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "0.4"}
    ended = run([sys.executable, "odd_objects_program.py"], cwd=HERE, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"levels": ["ERROR"], "calls": []}
