"""What is asked of detection: by ``detect()``, or else by the environment."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from .._status import Mode

LOGGER = "onenter_deadlock_fix"
DETECT = "ONENTER_DEADLOCK_FIX_DETECT"
DETECT_AFTER = "ONENTER_DEADLOCK_FIX_DETECT_AFTER"

AFTER = 5.0  # seconds
SHORTEST = 0.05  # seconds; a handoff takes some milliseconds
_MODES: dict[str, Mode] = {
    **dict.fromkeys(("off", "0", "false", "no"), "off"),
    **dict.fromkeys(("report", "on", "1", "true", "yes"), "report"),
    "resolve": "resolve",
}


class Request(NamedTuple):
    """What detection should do, after how many seconds it looks, and sentences about what was not understood."""

    mode: Mode
    after: float
    problems: tuple[str, ...]


def requested(call: tuple[object, object] | None) -> Request:
    """Return what a call of ``detect()`` asks for, with its mode and seconds; what the environment does for None."""
    named = (f"{DETECT}=", f"{DETECT_AFTER}=") if call is None else ("detect() with mode ", "detect() with after=")
    mode, after = call or (os.environ.get(DETECT) or "off", os.environ.get(DETECT_AFTER) or AFTER)
    known, seconds = mode_of(mode), seconds_of(after)
    problems = []
    if known is None:
        problems.append(f"{named[0]}{mode} is no known mode and means report (off, report, resolve)")
    if seconds is None:
        problems.append(f"{named[1]}{after} is no number of seconds ({SHORTEST:g} or more) and means {AFTER:g}")
    return Request(known or "report", seconds or AFTER, tuple(problems))


def mode_of(value: object) -> Mode | None:
    """Return the mode that a word stands for, or None where it is no mode."""
    return _MODES.get(str(value).strip().lower())


def seconds_of(value: object) -> float | None:
    """Return the seconds that a value stands for, or None where it is no number of them that can be asked for."""
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= SHORTEST else None
