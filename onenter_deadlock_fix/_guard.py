"""Whether: release, code and switches, put together to what the library should be like."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
from dataclasses import replace

from packaging.version import InvalidVersion, Version

from . import _shape
from ._status import Detection, Status
from ._switches import DETECT, DETECT_AFTER, SWITCH

# livekit/agents issue #4109; fixed by pull request #4113. AgentTask came with 1.2.0.
FIRST_AFFECTED = Version("1.2.0")
FIRST_FIXED = Version("1.3.6")

_OFF = ("off", "0", "false", "no")
_ON = ("on", "1", "true", "yes", "")

AFTER = 5.0  # seconds
_MODES: dict[str, Detection] = {**dict.fromkeys(_OFF, "off"), "report": "report", "resolve": "resolve"}


def decide(*, deactivated: bool) -> Status:
    """Return the state that the library, imported by now, should be in. Touches nothing."""
    needed = examine()
    switch = os.environ.get(SWITCH, "")
    value = switch.strip().lower()
    if deactivated:
        return replace(needed, state="off", reason=f"switched off by deactivate(); {needed.reason}")
    if value in _OFF:
        return replace(needed, state="off", reason=f"switched off by {SWITCH}={switch}; {needed.reason}")
    if value not in _ON:
        return _warned(needed, f"{SWITCH}={switch} is no known value and means on ({', '.join(_OFF)} mean off)")
    return needed


def decide_detection(status: Status, *, asked: tuple[object, object] | None, deactivated: bool) -> tuple[Status, float]:
    """Return ``status`` with the detection that there should be, and after how many seconds a drain is looked at.

    ``asked`` is what ``detect()`` was called with; it wins over the environment. Touches nothing.
    """
    if deactivated:
        return replace(status, detection="off"), AFTER
    default: Detection = "report" if asked or status.state == "patched" else "off"
    mode, after = asked or (os.environ.get(DETECT) or default, os.environ.get(DETECT_AFTER) or AFTER)
    names = ("detect() with mode ", "detect() with after=") if asked else (f"{DETECT}=", f"{DETECT_AFTER}=")

    detection = _MODES.get(str(mode).strip().lower())
    if detection is None:
        status = _warned(status, f"{names[0]}{mode} is no known mode and means {default} (off, report, resolve)")
        detection = default
    seconds = _seconds(after)
    if seconds is None:
        status = _warned(status, f"{names[1]}{after} is no number of seconds and means {AFTER:g}")
    if detection != "off":
        difference = _difference_in_draining()
        if difference:
            status = replace(status, reason=f"{status.reason}; no detection: in this build {difference}")
            detection = "unrecognised"
    return replace(status, detection=detection), seconds or AFTER


def _seconds(text: object) -> float | None:
    try:
        seconds = float(str(text))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _warned(status: Status, problem: str) -> Status:
    """Log a problem, and return the status with a reason that tells of it."""
    with contextlib.suppress(Exception):  # of a handler or filter of the program's
        logging.getLogger(__package__).warning(problem)
    return replace(status, reason=f"{status.reason}; {problem}")


@functools.cache  # the answer is found while the library is as it came; it may be wrapped later
def examine() -> Status:
    """Return the state that the release and its code call for, whatever the switch says. Touches nothing.

    ``patched`` stands for an affected release whose code is what the wrappers are written for.
    """
    try:
        from livekit.agents.version import __version__ as release
    except ImportError:
        return Status("unrecognised", None, "this livekit.agents does not say which release it is")

    name = f"livekit-agents {release}"
    try:
        version = Version(release)
    except (InvalidVersion, TypeError):
        return Status("unrecognised", str(release), f"{name} has no version number as PEP 440 has them")
    if version < FIRST_AFFECTED:
        return Status("predates", release, f"{name} is older than AgentTask, which came with {FIRST_AFFECTED}")
    if version >= FIRST_FIXED:
        return Status("fixed-upstream", release, f"{name} has upstream's fix, which came with {FIRST_FIXED}")
    if _shape.has_upstreams_fix():
        return Status("fixed-upstream", release, f"this build of {name} has upstream's fix already")
    difference = _shape.difference(_shape.HANDOFF)
    if difference is not None:
        return Status("unrecognised", release, f"not patched: in this build of {name} {difference}")
    return Status("patched", release, f"{name} has the on_enter deadlock of livekit/agents issue #4109")


@functools.cache
def _difference_in_draining() -> str | None:
    return _shape.difference(_shape.DRAIN)
