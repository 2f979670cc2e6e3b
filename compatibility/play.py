"""Plays the scenarios on one release, without the shim, with it and with detection, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from onenter_deadlock_fix.cli.pins import pins

from .data import PATTERN, PYTHONS

_TESTS = Path(__file__).parent.parent / "tests"
_LIMIT = 900  # seconds for one command
_SOON = {"ONENTER_DEADLOCK_FIX_DETECT_AFTER": "0.05"}  # before a scenario takes its next step
# what would change what is played
_NOT_INHERITED = (
    "ONENTER_DEADLOCK_FIX",
    "ONENTER_DEADLOCK_FIX_DETECT",
    "ONENTER_DEADLOCK_FIX_DETECT_AFTER",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "WRAPT_DISABLE_EXTENSIONS",
)


@dataclass(frozen=True)
class Row:
    """What the scenarios are played on."""

    release: str
    python: str = PYTHONS[0]
    wrapt: str = ""  # the newest
    extension: bool = True

    def __str__(self) -> str:
        wrapt = f", wrapt {self.wrapt}" if self.wrapt else ""
        return f"{self.release}, Python {self.python}{wrapt}{'' if self.extension else ', no C extension'}"


@dataclass(frozen=True)
class Played:
    """What came out, as ``python -m scenarios`` tells it.

    without: all scenarios without the shim.
    default: the pattern, with the shim as it is where nobody has asked for anything.
    report: all scenarios with the shim and detection in the mode ``report``, which looks at drains very soon.
    resolve: the scenarios that hang somewhere, in the mode ``resolve``.
    """

    row: Row
    without: dict[str, Any]
    default: dict[str, Any]
    report: dict[str, Any]
    resolve: dict[str, Any]


class NotPlayed(Exception):
    """There is nothing to play; says why."""


class Yanked(NotPlayed):
    """The release has been withdrawn."""


def releases() -> list[str]:
    """Return the releases from 1.2.0 on that the package index lists, pre-releases too, oldest first."""
    asked = ["index", "versions", "livekit-agents", "--pre", "--json", "--ignore-requires-python"]
    listed = _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *asked])
    versions = [Version(version) for version in json.loads(listed.stdout)["versions"]]
    return [str(version) for version in sorted(versions) if version >= Version("1.2.0")]


def build(directory: Path) -> Path:
    """Build the project's wheel and return its path."""
    _run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(directory), str(_TESTS.parent)])
    (wheel,) = directory.glob("*.whl")
    return wheel


def play(row: Row, wheel: Path) -> Played:
    """Return what came out. Raises NotPlayed if the environment cannot be made."""
    with tempfile.TemporaryDirectory() as directory:
        python = str(Path(directory, "bin", "python"))
        _run(["uv", "venv", "--quiet", "--python", _interpreter(row.python), directory])
        needed = [
            f"livekit-agents=={row.release}",
            *pins(Version(row.release)),
            f"wrapt{'==' + row.wrapt if row.wrapt else ''}",
        ]
        installed = _run(["uv", "pip", "install", "--python", python, str(wheel), *needed])
        if f"`livekit-agents=={row.release}` is yanked" in installed.stderr:
            raise Yanked("yanked")
        extension = {} if row.extension else {"WRAPT_DISABLE_EXTENSIONS": "1"}

        def scenarios(*names: str, **environment: str) -> Any:
            command = [python, "-W", "ignore", "-m", "scenarios", "--at-once", "6", *names]
            return json.loads(_run(command, **extension, **environment).stdout)

        without = scenarios(ONENTER_DEADLOCK_FIX="off")
        hang_somewhere = [name for name, declared in without["declared"].items() if declared]
        return Played(
            row,
            without,
            default=scenarios(PATTERN),
            report=scenarios(ONENTER_DEADLOCK_FIX_DETECT="report", **_SOON),
            resolve=scenarios(*hang_somewhere, ONENTER_DEADLOCK_FIX_DETECT="resolve", **_SOON),
        )


def _interpreter(python: str) -> str:
    try:
        return _run(["uv", "python", "find", "--system", python]).stdout.strip()
    except NotPlayed:
        raise NotPlayed(f"there is no Python {python} on this machine, so nothing is said of it") from None


def _run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    # only Pythons that are there; those of pyenv are, whichever of them it has selected
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    path = os.pathsep.join([*map(str, sorted(pyenv.glob("versions/*/bin"))), os.environ["PATH"]])
    env = {**inherited, "PATH": path, "UV_PYTHON_DOWNLOADS": "never", **environment}
    try:
        done = subprocess.run(command, cwd=_TESTS, env=env, capture_output=True, text=True, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        raise NotPlayed(f"no end of {' '.join(command)} within {_LIMIT} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotPlayed(f"{' '.join(command[:3])} failed: {last}")
    return done
