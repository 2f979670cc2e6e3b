"""mypy and pyright, both strict, accept what is right in a user's program, and object to each line that is not."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from programs import TESTS, run

PROGRAM = TESTS / "typed" / "users_program.py"
WRONG = {n for n, line in enumerate(PROGRAM.read_text().splitlines(), start=1) if line.endswith("# wrong")}


def test_mypy(tmp_path: Path) -> None:
    ended = run([sys.executable, "-m", "mypy", "--strict", "--no-pretty", str(PROGRAM)], cwd=tmp_path)
    assert {int(line) for line in re.findall(r":(\d+): error: ", ended.stdout)} == WRONG, ended.stdout + ended.stderr


def test_pyright(tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    (tmp_path / PROGRAM.name).write_text(PROGRAM.read_text())
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    ended = run(command, cwd=tmp_path)
    problems = json.loads(ended.stdout)["generalDiagnostics"]
    lines = {problem["range"]["start"]["line"] + 1 for problem in problems if problem["severity"] == "error"}
    assert lines == WRONG, ended.stdout + ended.stderr
