"""Read the detection settings from a call of ``detect()``, or else from the environment."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from .._guard import OFF_WORDS, ON_WORDS
from .._status import Mode

LOGGER = "onenter_deadlock_fix"
DETECT = "ONENTER_DEADLOCK_FIX_DETECT"
DETECT_AFTER = "ONENTER_DEADLOCK_FIX_DETECT_AFTER"

DEFAULT_AFTER = 5.0  # seconds
MIN_AFTER = 0.05  # seconds; a handoff takes some milliseconds
_MODES: dict[str, Mode] = {
    **dict.fromkeys(OFF_WORDS, "off"),
    **dict.fromkeys(("report", *ON_WORDS), "report"),
    "resolve": "resolve",
}


class Settings(NamedTuple):
    """The mode, after how many seconds a change is checked, and warnings about values that are not valid."""

    mode: Mode
    after: float
    warnings: tuple[str, ...]


def load_settings(call: tuple[object, object] | None) -> Settings:
    """Return the settings of a call of ``detect()`` (its mode and seconds), or those of the environment for None."""
    sources = (f"{DETECT}=", f"{DETECT_AFTER}=") if call is None else ("detect() with mode ", "detect() with after=")
    mode, after = call or (os.environ.get(DETECT, "").strip() or "off", os.environ.get(DETECT_AFTER) or DEFAULT_AFTER)
    known, seconds = mode_of(mode), seconds_of(after)
    warnings = []
    if known is None:
        warnings.append(f"{sources[0]}{mode} is not a known mode and means report (off, report, resolve)")
    if seconds is None:
        warnings.append(
            f"{sources[1]}{after} is not a number of seconds ({MIN_AFTER:g} or more) and means {DEFAULT_AFTER:g}"
        )
    return Settings(known or "report", seconds or DEFAULT_AFTER, tuple(warnings))


def mode_of(value: object) -> Mode | None:
    """Return the mode that a value stands for, or None if it is invalid."""
    return _MODES.get(str(value).strip().lower())


def seconds_of(value: object) -> float | None:
    """Return the seconds that a value stands for, or None if it is invalid."""
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= MIN_AFTER else None
