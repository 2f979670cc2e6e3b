"""Start an interpreter, and return what a program in it has: its livekit-agents, and what the shim does to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from .._guard import FIRST_AFFECTED, FIRST_FIXED
from .._status import Detection, State
from ..detection.config import AFTER, seconds_of
from .pins import pins
from .probe import MARK, NOT_INSTALLED
from .text import quoted

_DISTRIBUTIONS = ["livekit-agents", "wrapt", *(Requirement(pin).name for pin in pins(FIRST_AFFECTED))]
PROBE = [str(Path(__file__).with_name("probe.py")), *_DISTRIBUTIONS]  # the arguments of an interpreter
_LONGEST = 120.0  # seconds; importing livekit-agents takes two of them on a slow machine
# "uv run" would otherwise install what is missing before it starts the interpreter
_VARIABLES = {"UV_NO_SYNC": "1", "UV_OFFLINE": "1"}


class NotExamined(Exception):
    """The interpreter could not be examined; the message says why, in one line."""


@dataclass(frozen=True)
class Environment:
    """What a program has in an interpreter, started with the environment variables of this process.

    folder: ``sys.prefix`` there; empty where that is not known.
    working_directory: where the interpreter was started, which a launcher may have changed.
    path: ``sys.path`` there, without the folder of the program.
    livekit_agents, library_folder: which livekit-agents it imports, and from where; None where there is none.
    shim: the version of onenter-deadlock-fix; None where it is not installed.
    active_by_itself: the shim is imported, though the program has not done so.
    state: the shim's, after an import of it; None where that can't be said.
    reason: a sentence about the state, or about why there is none.
    """

    folder: str = ""
    working_directory: str = ""
    python: str | None = None
    path: tuple[str, ...] = ()
    livekit_agents: str | None = None
    library_folder: str | None = None
    shim: str | None = None
    wrapt: str | None = None
    active_by_itself: bool | None = None
    state: State | None = None
    reason: str = ""
    detection: Detection = "off"
    detect_after: float = AFTER

    def in_words(self) -> str:
        """Return what is installed where, for people."""
        installed = {
            "onenter-deadlock-fix": self.shim,
            "livekit-agents": self.livekit_agents,
            "Python": self.python,
            "wrapt": self.wrapt,
        }
        named = ", ".join(f"{name} {release}" for name, release in installed.items() if release)
        return f"{quoted(self.folder)} with {named}" if named else quoted(self.folder)

    def as_object(self) -> dict[str, object]:
        """Return the same for machines."""
        return {
            "environment": self.folder or None,
            "python": self.python,
            "onenter_deadlock_fix": self.shim,
            "livekit_agents": self.livekit_agents,
            "livekit_agents_path": self.library_folder,
            "wrapt": self.wrapt,
        }


def examine(interpreter: Sequence[str] = (sys.executable,)) -> Environment:
    """Start an interpreter, given as the words of a command, and return what a program in it would have.

    The program's folder and the working directory are not on its path. Raise ``NotExamined`` where it can't be started.
    """
    command = [*interpreter, *PROBE]
    name = quoted(command[0])
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **_VARIABLES},
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotExamined(f"{name} said nothing for {_LONGEST:.0f} seconds") from None
    except (OSError, ValueError) as error:
        raise NotExamined(f"{name} can't be started: {error}") from error
    return read_probe(ended)


def read_probe(ended: subprocess.CompletedProcess[str]) -> Environment:
    """Return what a ``PROBE`` has found. Raise ``NotExamined`` where it has not come to that."""
    line = next((line for line in reversed(ended.stdout.splitlines()) if line.startswith(MARK)), None)
    if line is None:
        lines = [line.strip() for line in (ended.stderr or ended.stdout).splitlines() if line.strip()]
        raise NotExamined(f"{quoted(ended.args[0])} ended early: {[f'exit code {ended.returncode}', *lines][-1]}")
    found = json.loads(line[len(MARK) :])
    versions = found["versions"]
    release = found.get("release") or versions["livekit-agents"]
    state: State | None = None
    if found.get("library_error") == NOT_INSTALLED:
        release, reason = None, f"livekit-agents {NOT_INSTALLED}"
    elif "library_error" in found:
        reason = f"livekit-agents {release} {found['library_error']}{_advice(release, versions)}"
    elif "shim" not in found:
        state, reason = unaffected(release) or (None, f"onenter-deadlock-fix {found['shim_error']}")
    else:
        state, reason = found["status"]["state"], found["status"]["reason"]
    return Environment(
        folder=found["folder"],
        working_directory=found["working_directory"],
        python=found["python"],
        path=tuple(found["path"]),
        livekit_agents=release,
        library_folder=found.get("library_folder"),
        shim=found.get("shim"),
        wrapt=versions["wrapt"],
        active_by_itself=found["active_by_itself"],
        state=state,
        reason=reason,
        detection=found.get("status", {}).get("detection", "off"),
        detect_after=seconds_of(found["detect_after"]) or AFTER,
    )


def unaffected(release: str | None) -> tuple[State, str] | None:
    """Return the state that follows from the number of a release that does not need the shim, and the reason."""
    try:
        version = Version(release or "")
    except InvalidVersion:
        return None
    if version < FIRST_AFFECTED:
        return "predates", f"livekit-agents {release} is older than AgentTask, which came with {FIRST_AFFECTED}"
    if version >= FIRST_FIXED:
        return "fixed-upstream", f"livekit-agents {release} has upstream's fix, which came with {FIRST_FIXED}"
    return None


def _advice(release: str | None, versions: dict[str, str | None]) -> str:
    """Name the pins of such a release that are not met, as the end of a sentence; nothing where all are."""
    try:
        needed = map(Requirement, pins(Version(release or "")))
        unmet = " ".join(f"'{pin}'" for pin in needed if not _is_met(pin, versions.get(pin.name)))
    except InvalidVersion:
        return ""
    return f"; it needs beside it: {unmet}" if unmet else ""


def _is_met(pin: Requirement, installed: str | None) -> bool:
    return installed is not None and pin.specifier.contains(installed, prereleases=True)
