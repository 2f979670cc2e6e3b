"""What is installed here: the versions that matter, and why livekit-agents does not import where it does not."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform

from packaging.version import InvalidVersion, Version

from ._pins import pins
from ._status import Status


class LibraryUnusable(Exception):
    """livekit-agents is not installed or does not import; the message says why, in one line."""


def load_library() -> None:
    """Import ``livekit.agents``, which settles the shim's status. Raise ``LibraryUnusable`` where that fails."""
    try:
        importlib.import_module("livekit.agents")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in ("livekit", "livekit.agents"):
            raise LibraryUnusable("livekit-agents is not installed in this environment") from error
        release = _version_of("livekit-agents")
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LibraryUnusable(f"livekit-agents {release} does not import: {reason}{_advice(release)}") from error


def versions(status: Status) -> dict[str, str | None]:
    """Return what reports name besides the status; None for what is not installed."""
    return {
        "livekit_agents": status.livekit_agents or _version_of("livekit-agents"),
        "python": platform.python_version(),
        "wrapt": _version_of("wrapt"),
    }


def versions_in_words(status: Status) -> str:
    installed = versions(status)
    return f"livekit-agents {installed['livekit_agents']}, Python {installed['python']}, wrapt {installed['wrapt']}"


def _version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _advice(release: str | None) -> str:
    """Name the pins that such a release needs, as the end of a sentence; nothing where it needs none."""
    try:
        needed = pins(Version(release or ""))
    except InvalidVersion:
        return ""
    quoted = " ".join(f"'{requirement}'" for requirement in needed)
    return f"; it needs beside it: {quoted}" if needed else ""
