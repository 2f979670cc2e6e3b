"""Runs a program of this folder in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent.parent


class Mode(NamedTuple):
    """How an interpreter is started."""

    options: tuple[str, ...]
    environment: Mapping[str, str]


DEVELOPMENT = Mode(("-X", "dev"), {"PYTHONASYNCIODEBUG": "1"})


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python`` with these arguments and these variables, and return how that ended."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=TESTS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
