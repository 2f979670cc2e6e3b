"""What the records of a play are, and the marked lines in the programs that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable

TESTS = Path(__file__).parent

Play = Callable[..., Any]  # the fixture
Program = Callable[..., Any]


def at(mark: str, function: str) -> str:
    """Return the line of a record that names the marked line of a program, which is in a function."""
    programs = (TESTS / "cast.py", *TESTS.glob("detection_programs/*.py"), *TESTS.glob("scenarios/*.py"))
    found = [
        f"    at {program}:{number} in {function}: {line.strip()}"
        for program in programs
        for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), start=1)
        if line.endswith(f"  # {mark}")
    ]
    assert len(found) == 1, f"{len(found)} lines end with '  # {mark}'"
    return found[0]


def levels(played: Any) -> list[str]:
    return [record["level"] for record in played["records"]]


def lines(played: Any, level: str) -> list[str]:
    """Return the lines of the only record, with nothing random in it and without those of the stage's own ``note``."""
    assert levels(played) == [level]
    text = re.sub(r"speech_[0-9a-f]+\b", "SPEECH", played["records"][0]["message"])
    return [line for line in re.sub("0x[0-9a-f]+", "ID", text).splitlines() if not line.endswith("  # note")]


def deadlock(played: Any) -> Any:
    """Return the only deadlock as livekit-agents' JSON log has it."""
    (found,) = (record["json"]["deadlock"] for record in played["records"] if "deadlock" in record["json"])
    return found
