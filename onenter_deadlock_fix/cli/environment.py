"""What is installed in this environment, and in others that may be meant instead."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from .._status import Status
from .pins import pins

_LIBRARY, _SHIM = "livekit-agents", "onenter-deadlock-fix"


class LibraryUnusable(Exception):
    """livekit-agents is not installed or does not import; the message says why, in one line."""


def load_library() -> None:
    """Import ``livekit.agents``, which settles the shim's status. Raise ``LibraryUnusable`` where that fails."""
    try:
        importlib.import_module("livekit.agents")
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in ("livekit", "livekit.agents"):
            raise LibraryUnusable(f"{_LIBRARY} is not installed in this environment") from error
        release = _version_of(_LIBRARY)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LibraryUnusable(f"{_LIBRARY} {release} does not import: {reason}{_advice(release)}") from error


def versions(status: Status) -> dict[str, str | None]:
    """Return what reports name besides the status; None for what is not installed."""
    return {
        "livekit_agents": status.livekit_agents or _version_of(_LIBRARY),
        "environment": sys.prefix,
        "python": platform.python_version(),
        "wrapt": _version_of("wrapt"),
    }


def versions_in_words(status: Status) -> str:
    """Return the same for people."""
    installed = versions(status)
    return (
        f"livekit-agents {installed['livekit_agents']}, Python {installed['python']}, wrapt {installed['wrapt']}, "
        f"in {installed['environment']}"
    )


def other_environments() -> list[str]:
    """Return a warning for each environment that is at hand and has a livekit-agents, but is not this one."""
    at_hand = (".venv", os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"))
    folders = dict.fromkeys(os.path.abspath(folder) for folder in at_hand if folder and os.path.isdir(folder))
    return [warning for folder in folders if (warning := _warning(Path(folder)))]


def _warning(environment: Path) -> str | None:
    packages = [*environment.glob("lib/python*/site-packages"), environment / "Lib" / "site-packages"]
    library = _version_of(_LIBRARY, packages)
    # its packages may also be those of this one: they are the same, or uv has laid this one over it
    if library is None or not {*map(os.path.realpath, packages)}.isdisjoint(map(os.path.realpath, sys.path)):
        return None
    pythons = [environment / name for name in ("bin/python", "Scripts/python.exe", "python.exe")]
    python = next(filter(Path.exists, pythons), "python")
    install = "" if _version_of(_SHIM, packages) else f"install {_SHIM} there, and "
    return (
        f"this says nothing about {environment}, which has {_LIBRARY} {library}; "
        f"to ask there: {install}{python} -m onenter_deadlock_fix status"
    )


def _version_of(distribution: str, path: Sequence[str | Path] | None = None) -> str | None:
    """Return the version of what is installed in these folders; they are those of this environment by default."""
    folders = sys.path if path is None else list(map(str, path))
    with contextlib.suppress(Exception):  # there may be a folder for its metadata, and nothing in it
        return next(
            (found.version for found in importlib.metadata.distributions(name=distribution, path=folders)), None
        )
    return None


def _advice(release: str | None) -> str:
    """Name the pins of such a release that are not met, as the end of a sentence; nothing where all are."""
    try:
        unmet = " ".join(f"'{pin}'" for pin in pins(Version(release or "")) if not _met(Requirement(pin)))
    except InvalidVersion:
        return ""
    return f"; it needs beside it: {unmet}" if unmet else ""


def _met(pin: Requirement) -> bool:
    installed = _version_of(pin.name)
    return installed is not None and pin.specifier.contains(installed, prereleases=True)
