"""Start an interpreter, and return the livekit-agents of a program in it, and the state of the shim."""

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
from ..detection.config import DEFAULT_AFTER, seconds_of
from .pins import pins
from .probe import MARK, NOT_INSTALLED
from .text import quoted

_DISTRIBUTIONS = ["livekit-agents", "wrapt", *(Requirement(pin).name for pin in pins(FIRST_AFFECTED))]
PROBE = [str(Path(__file__).with_name("probe.py")), *_DISTRIBUTIONS]  # the arguments of an interpreter
_LONGEST = 120.0  # seconds; importing livekit-agents takes two seconds on a slow machine
# "uv run" would otherwise install what is missing before it starts the interpreter
_VARIABLES = {"UV_NO_SYNC": "1", "UV_OFFLINE": "1"}


class NotExamined(Exception):
    """The interpreter could not be examined; the message has the reason, in one line."""


@dataclass(frozen=True)
class Environment:
    """The environment of a program, when its interpreter has the environment variables of this process.

    folder: ``sys.prefix`` there; empty if that is not known.
    working_directory: where the interpreter was started, which a launcher may have changed.
    path: ``sys.path`` there, without the folder of the program.
    livekit_agents, library_folder: the release that it imports, and its folder; None if it imports none.
    shim: the version of onenter-deadlock-fix; None if it is not installed.
    active_by_itself: the shim is imported, though the program does not import it.
    state: the shim's state after an import of it; None if that is unknown.
    reason: why the state is what it is, or why it is unknown.
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
    detect_after: float = DEFAULT_AFTER

    def in_words(self) -> str:
        """Return the installed versions and the folder as text for people."""
        installed = {
            "onenter-deadlock-fix": self.shim,
            "livekit-agents": self.livekit_agents,
            "Python": self.python,
            "wrapt": self.wrapt,
        }
        named = ", ".join(f"{name} {release}" for name, release in installed.items() if release)
        return f"{quoted(self.folder)} with {named}" if named else quoted(self.folder)

    def as_object(self) -> dict[str, object]:
        """Return the versions and folders as an object for JSON."""
        return {
            "environment": self.folder or None,
            "python": self.python,
            "onenter_deadlock_fix": self.shim,
            "livekit_agents": self.livekit_agents,
            "livekit_agents_path": self.library_folder,
            "wrapt": self.wrapt,
        }


def examine(interpreter: Sequence[str] = (sys.executable,)) -> Environment:
    """Start an interpreter, given as the words of a command, and return the environment of a program in it.

    The program's folder and the working directory are not on its path. Raise ``NotExamined`` if it can't be started.
    """
    command = [*interpreter, *PROBE]
    name = quoted(command[0])
    try:
        process = subprocess.run(
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
        raise NotExamined(f"{name} did not finish within {_LONGEST:.0f} seconds") from None
    except (OSError, ValueError) as error:
        raise NotExamined(f"{name} can't be started: {error}") from error
    return read_probe(process)


def read_probe(process: subprocess.CompletedProcess[str]) -> Environment:
    """Return the result of a ``PROBE``. Raise ``NotExamined`` if it has printed none."""
    line = next((line for line in reversed(process.stdout.splitlines()) if line.startswith(MARK)), None)
    if line is None:
        lines = [line.strip() for line in (process.stderr or process.stdout).splitlines() if line.strip()]
        raise NotExamined(f"{quoted(process.args[0])} ended early: {[f'exit code {process.returncode}', *lines][-1]}")
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
        detect_after=seconds_of(found["detect_after"]) or DEFAULT_AFTER,
    )


def unaffected(release: str | None) -> tuple[State, str] | None:
    """Return the state and the reason for a release that does not need the shim, by its number; else None."""
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
    """Return the unmet pins of a release as the end of a sentence; an empty string if all are met."""
    try:
        needed = map(Requirement, pins(Version(release or "")))
        unmet = " ".join(f"'{pin}'" for pin in needed if not _is_met(pin, versions.get(pin.name)))
    except InvalidVersion:
        return ""
    return f"; it needs beside it: {unmet}" if unmet else ""


def _is_met(pin: Requirement, installed: str | None) -> bool:
    return installed is not None and pin.specifier.contains(installed, prereleases=True)
