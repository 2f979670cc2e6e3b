"""What is logged of a drain that takes its time: text for people, and the same as data in the record's ``extra``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from livekit.agents.version import __version__ as release
from packaging.version import Version

from .config import DETECT, LOGGER
from .describe import Waiter

_logger = logging.getLogger(LOGGER)

# The release in which upstream took a circle out, by roles that are on it. Found by playing tests/scenarios on all
# releases, as COMPATIBILITY.md shows.
_CURES = (
    (Counter(("handoff", "on_enter")), "1.3.6", " (livekit/agents issue #4109)"),
    (Counter(("handoff", "handoff")), "1.7.1", ""),
    (Counter(("handoff", "on_exit")), "1.8.2", ""),
    (Counter(("handoff", "update_agent()")), "1.8.2", ""),
)


def deadlock(name: str, waiters: Sequence[Waiter], *, circles: Sequence[Sequence[Waiter]], can_let_go: bool) -> None:
    """Log that a drain never ends: it is on a circle of waits, or waits for others who are.

    ``circles`` are all that it is on, each by itself; ``can_let_go`` says whether the mode ``resolve`` would help.
    """
    lines = [f"deadlock: {name} waits for {'itself' if circles else 'others who wait for each other'}"]
    lines += map(str, waiters)
    cured_in, source = _cure(circles)
    if cured_in:
        lines.append(f"livekit-agents {cured_in} and later are cured of this{source}")
    if can_let_go:
        lines.append(f"{DETECT}=resolve lets it go on")
    data = {"waits": _data(waiters), "cured_in": cured_in or None, "can_let_go": can_let_go}
    _logger.error("\n  ".join(lines), extra={"deadlock": data})


def let_go(name: str, waits: Sequence[Waiter]) -> None:
    """Log that a hand-over goes on and has given up these waits of its own."""
    awaited = " and ".join(dict.fromkeys(wait.waits_for for wait in waits))
    _logger.warning(f"{name} goes on and no longer waits for {awaited}", extra={"let_go": {"waits": _data(waits)}})


def slow(name: str, waited: float, waiters: Sequence[Waiter]) -> None:
    """Log that a drain has waited for so many seconds, and for whom."""
    awaited = " and ".join(waiter.waits_for for waiter in waiters if waiter.name == name)
    others = [str(waiter) for waiter in waiters if waiter.name != name]
    lines = [f"{name} has waited for {awaited or 'something else'} for {waited:.1f} s", *others]
    _logger.warning("\n  ".join(lines), extra={"wait": {"waits": _data(waiters), "seconds": round(waited, 1)}})


def _cure(circles: Sequence[Sequence[Waiter]]) -> tuple[str, str]:
    """Return the release that is cured of all these circles, and the source of that; empty where there is none."""
    cures = [_cure_of_one(circle) for circle in circles]
    if not cures or None in cures:
        return "", ""
    version, cured_in, source = max(filter(None, cures))
    return (cured_in, source) if version > Version(release) else ("", "")


def _cure_of_one(circle: Sequence[Waiter]) -> tuple[Version, str, str] | None:
    handoffs = {waiter.name for waiter in circle if waiter.role == "handoff"}
    if any(waiter.role == "tool" and waiter.waits_for not in handoffs for waiter in circle):
        return None  # of a tool that waits for something else than its own AgentTask, no release is cured
    roles = Counter(role for role, _ in {(waiter.role, waiter.name) for waiter in circle})
    known = [(Version(cured_in), cured_in, source) for on_it, cured_in, source in _CURES if not on_it - roles]
    return max(known, default=None)


def _data(waiters: Sequence[Waiter]) -> list[dict[str, object]]:
    return [asdict(waiter) for waiter in waiters]
