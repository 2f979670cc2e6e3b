"""Count instructions by valgrind's callgrind."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# A call of os.getppid() in Python ends one part of the count and begins the next. Nothing that is measured calls it.
MARK = "getppid"


def count(
    command: Sequence[str], seed: int, environment: Mapping[str, str] | None = None
) -> tuple[str, dict[int, list[int]]]:
    """Run a command; return its output and, for each of its processes, the instructions of each part."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/%p", f"--dump-before={MARK}"]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        done = subprocess.run(
            [*valgrind, *command],
            env={**kept, **(environment or {}), "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",  # a folder that holds no Python modules
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stderr}")
        parts: dict[int, dict[float, int]] = {}
        for path in Path(folder).iterdir():
            process, _, part = path.name.partition(".")
            total = re.search(r"^summary: (\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
            if total:
                # what comes after the last mark is in a file without a number
                parts.setdefault(int(process), {})[float(part or "inf")] = int(total[1])
    return done.stdout, {process: [found[part] for part in sorted(found)] for process, found in parts.items()}
