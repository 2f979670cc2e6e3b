"""The marked lines in the programs of ``detection_programs/``, and what a record says of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent


def place(mark: str) -> tuple[str, int, str]:
    """Return file, number and text of the line of a program that is marked."""
    (found,) = (
        (str(program), number, line.strip())
        for program in (TESTS / "cast.py", *TESTS.glob("detection_programs/*.py"), *TESTS.glob("scenarios/*.py"))
        for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), start=1)
        if line.endswith(f"  # {mark}")
    )
    return found


def at(mark: str, function: str) -> str:
    """Return the line of a record that names the marked line of a program, which is in a function."""
    file, line, code = place(mark)
    return f"    at {file}:{line} in {function}: {code}"


def lines(seen: Any, level: str) -> list[str]:
    """Return the lines of the only record, without those of the stage's own ``note``."""
    assert [record["level"] for record in seen["records"]] == [level]
    text = re.sub(r"speech_[0-9a-f]+\b", "SPEECH", seen["records"][0]["message"])
    return [line for line in text.splitlines() if not line.endswith("  # note")]
