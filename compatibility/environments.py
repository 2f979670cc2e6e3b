"""Make environments with a release of livekit-agents and the pins that it needs today.

``python -m compatibility.environments RELEASE FOLDER`` makes one with this project, editable, and prints its Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from packaging.version import Version

from onenter_deadlock_fix.environment.pins import pins

from .data import ROOT, Row

_LIMIT = 900  # seconds for one command
# what would change what is played, or makes each process compile all of livekit-agents anew
_NOT_INHERITED = (
    "ONENTER_DEADLOCK_FIX",
    "ONENTER_DEADLOCK_FIX_DETECT",
    "ONENTER_DEADLOCK_FIX_DETECT_AFTER",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "WRAPT_DISABLE_EXTENSIONS",
)


class NotPlayed(Exception):
    """Why a row can't be played."""


class Yanked(NotPlayed):
    """The release has been withdrawn."""


class NoPython(NotPlayed):
    """The machine does not have this Python."""


def releases() -> list[str]:
    """Return the releases from 1.2.0 on that the package index lists, pre-releases too, oldest first."""
    asked = ["index", "versions", "livekit-agents", "--pre", "--json", "--ignore-requires-python"]
    listed = run([sys.executable, "-m", "pip", "--disable-pip-version-check", *asked])
    versions = [Version(version) for version in json.loads(listed.stdout)["versions"]]
    return [str(version) for version in sorted(versions) if version >= Version("1.2.0")]


def make(folder: Path, row: Row, *project: str) -> str:
    """Make an environment, or of the one that is there another one, and return the path of its Python.

    It holds what a new one would, and not what the last release needed. What both need is not compiled again.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        run(["uv", "venv", "--quiet", "--python", _interpreter(row.python), str(folder)])
    wrapt = f"wrapt=={row.wrapt}" if row.wrapt else "wrapt"
    needed = [*project, f"livekit-agents=={row.release}", *pins(Version(row.release)), wrapt]
    installed = run(["uv", "pip", "install", "--exact", "--upgrade", "--python", str(python), *needed])
    if f"`livekit-agents=={row.release}` is yanked" in installed.stderr:
        raise Yanked("yanked")
    return str(python)


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    # only Pythons that are there; those of pyenv are, whichever of them it has selected
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    path = os.pathsep.join([*map(str, sorted(pyenv.glob("versions/*/bin"))), os.environ["PATH"]])
    env = {**inherited, "PATH": path, "UV_PYTHON_DOWNLOADS": "never", **environment}
    try:
        done = subprocess.run(
            command, cwd=ROOT / "tests", env=env, capture_output=True, text=True, timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotPlayed(f"no end of {' '.join(command)} within {_LIMIT} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotPlayed(f"{' '.join(command[:3])} failed: {last}")
    return done


def _interpreter(python: str) -> str:
    try:
        return run(["uv", "python", "find", "--system", python]).stdout.strip()
    except NotPlayed:
        raise NoPython(f"there was no Python {python} on the machine") from None


if __name__ == "__main__":
    release, folder = sys.argv[1:]
    print(make(Path(folder).absolute(), Row(str(Version(release))), "--editable", str(ROOT)))
