"""Runs ``detection_program.py``, and finds its marked lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from programs import run

PROGRAM = Path(__file__).with_name("detection_program.py")
AFTER = "0.2"  # seconds; a program that ends does so sooner, but for those that are slow on purpose


def play(program: str, mode: str, **environment: str) -> Any:
    """Play one of the programs and return what it prints."""
    detect = {"ONENTER_DEADLOCK_FIX_DETECT": mode, "ONENTER_DEADLOCK_FIX_DETECT_AFTER": AFTER}
    ended = run([sys.executable, str(PROGRAM), program], cwd=PROGRAM.parent, env={**detect, **environment})
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def place(mark: str) -> tuple[str, int, str]:
    """Return file, number and text of the line that is marked."""
    lines = PROGRAM.read_text(encoding="utf-8").splitlines()
    (number,) = (number for number, line in enumerate(lines, start=1) if line.endswith(f"  # {mark}"))
    return str(PROGRAM), number, lines[number - 1].strip()
