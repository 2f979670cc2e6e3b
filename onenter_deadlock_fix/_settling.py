"""The library has arrived: the guard decides, patch and detector act, and what came of it is logged."""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import replace

from ._status import Status

# modules of ours that keep classes of the library, or what was found out about it
_BOUND = ("_guard", "_patch", "_detector", "_diagnosis", "_report", "_explanation", "_graph")


def settle(
    before: Status | None, *, deactivated: bool, asked: tuple[object, object] | None, detection_deactivated: bool
) -> Status:
    """Bring the library into the state that is right for it, log that state and return it. Raise nothing.

    ``before`` is what was returned for this library last, if anything.
    """
    error: Exception | None = None
    try:
        decided = _patch_or_not(before, deactivated=deactivated)
    except Exception as caught:
        error = caught
        version = getattr(sys.modules.get("livekit.agents"), "__version__", None)
        decided = Status("failed", version, f"not patched because of an error: {error!r}")
    try:
        decided = _detect_or_not(decided, before, asked=asked, deactivated=detection_deactivated)
    except Exception as caught:
        error = error or caught
        reason = f"{decided.reason}; no detection because of an error: {caught!r}"
        decided = replace(decided, reason=reason, detection="unrecognised")
    if decided != before:
        with contextlib.suppress(Exception):  # of a log handler of the program's, which must go on
            _log(decided, error)
    return decided


def forget_other_library() -> None:
    """Have those modules of ours imported anew that are about a library which is not there any more."""
    package = sys.modules[__package__]
    for name in _BOUND:
        sys.modules.pop(f"{__package__}.{name}", None)
        vars(package).pop(name, None)


def _patch_or_not(before: Status | None, *, deactivated: bool) -> Status:
    from . import _guard

    decided = _guard.decide(deactivated=deactivated)
    if decided.state == "patched":
        from . import _patch

        _patch.put_on()
        return replace(decided, reason=f"{decided.reason}; both wrappers are in place")
    if before is not None and before.state == "patched":
        from . import _patch

        _patch.take_off()
    return decided


def _detect_or_not(
    decided: Status, before: Status | None, *, asked: tuple[object, object] | None, deactivated: bool
) -> Status:
    from . import _guard

    decided, after = _guard.decide_detection(decided, asked=asked, deactivated=deactivated)
    if decided.detection == "report" or decided.detection == "resolve":
        from . import _detector

        _detector.put_on(decided.detection, after=after)
    elif before is not None and before.detection in ("report", "resolve"):
        from . import _detector

        _detector.take_off()
    return decided


def _log(decided: Status, error: Exception | None) -> None:
    detection = {"report": logging.INFO, "resolve": logging.INFO, "unrecognised": logging.WARNING}
    state = {"patched": logging.INFO, "unrecognised": logging.WARNING, "failed": logging.ERROR}
    level = max(state.get(decided.state, logging.DEBUG), detection.get(decided.detection, logging.DEBUG))
    said = f"{decided.state}: {decided.reason}"
    if decided.detection != "off":
        said += f"; detection: {decided.detection}"
    logging.getLogger(__package__).log(logging.ERROR if error else level, said, exc_info=error)
