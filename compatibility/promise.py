"""What the project promises, held against what came out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from packaging.version import Version

from .data import FIRST_FIXED, LAST_AFFECTED, OWN_HANGS
from .play import Played

PATTERN = "the_pattern"


def is_affected(release: str) -> bool:
    return Version("1.2.0") <= Version(release) < Version(FIRST_FIXED)


def ended(outcome: dict[str, Any]) -> str:
    """Say in a word how a scenario ended."""
    if outcome["ended"] in ("deadlock", "stuck"):
        return "hangs"
    if outcome["ended"].startswith("error"):
        return "error"
    return "left waiting" if outcome["waits"] else "completes"


def broken(played: Played, reference: dict[str, Any]) -> Iterator[str]:
    """Yield what is not as promised; ``reference`` is what came out of 1.3.6 without the shim."""
    release, without, shim = played.row.release, played.without, played.shim
    affected = is_affected(release)
    if Version(shim["livekit_agents"]) != Version(release) or shim["wrapt_extension"] != played.row.extension:
        yield f"something else was played: livekit-agents {shim['livekit_agents']}, wrapt {shim['wrapt']}"
    yield from _difference("off", without["state"], "state without the shim")
    yield from _difference("patched" if affected else "fixed-upstream", shim["state"], "state")
    for name in without["functions"]:
        yield from _difference("its own", without["functions"][name], f"{name} without the shim")
        yield from _difference("wrapped" if affected else "its own", shim["functions"][name], name)
    pattern = without["outcomes"][PATTERN]["ended"]
    yield from _difference("deadlock" if affected else "completed", pattern, "the pattern without the shim")
    yield from _difference("completed", shim["outcomes"][PATTERN]["ended"], "the pattern")
    for name, outcome in shim["outcomes"].items():
        if not affected and outcome != without["outcomes"][name]:
            yield f"{name} differs from what it is without the shim"
        if release == LAST_AFFECTED and outcome != reference["outcomes"][name]:
            yield f"{name} differs from {FIRST_FIXED}"
        if affected and ended(outcome) == "hangs":
            if ended(reference["outcomes"][name]) != "hangs" and name not in own_hangs(release):
                yield f"{name} hangs, and does not on {FIRST_FIXED}"
            if ended(without["outcomes"][name]) != "hangs":
                yield f"{name} hangs, and does not without the shim"


def own_hangs(release: str) -> dict[str, str]:
    """Return the scenarios that hang on a release for a reason of its own, and the reasons."""
    return {
        name: reason for first, below, name, reason in OWN_HANGS if Version(first) <= Version(release) < Version(below)
    }


def _difference(promised: str, found: str, what: str) -> Iterator[str]:
    if found != promised:
        yield f"{what}: {found}, not {promised}"
