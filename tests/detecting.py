"""The process that plays the programs of ``detection_programs/``, and the marked lines in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from forking import clean_environment

PROGRAMS = Path(__file__).with_name("detection_programs")
AFTER = 0.2  # seconds of the loop's time; a program that ends does so sooner, but for those that are slow on purpose


class Player:
    """The process that livekit-agents is imported in, and that plays each program in a fork."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAMS.name],
            cwd=PROGRAMS.parent,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def play(
        self,
        program: str,
        mode: str,
        *,
        after: float = AFTER,
        fix: bool = True,
        release: str | None = None,
        loop: str = "virtual",
        **arguments: Any,
    ) -> Any:
        """Play a program (``module.function``) with arguments, in a mode; return what ``_play()`` there does."""
        request = locals().copy()
        del request["self"]
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        played = json.loads(self._process.stdout.readline())
        assert "failed" not in played, played["failed"]
        return played

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def place(mark: str) -> tuple[str, int, str]:
    """Return file, number and text of the line of a program that is marked."""
    (found,) = (
        (str(program), number, line.strip())
        for program in PROGRAMS.glob("*.py")
        for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), start=1)
        if line.endswith(f"  # {mark}")
    )
    return found


def at(mark: str, function: str) -> str:
    """Return the line of a record that names the marked line of a program, which is in a function."""
    file, line, code = place(mark)
    return f"    at {file}:{line} in {function}: {code}"


def lines(seen: Any, level: str) -> list[str]:
    """Return the lines of the only record."""
    assert [record["level"] for record in seen["records"]] == [level]
    return re.sub(r"speech_[0-9a-f]+\b", "SPEECH", seen["records"][0]["said"]).splitlines()
