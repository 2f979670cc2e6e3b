"""What is wanted, what has come of it, and how often the fix has acted: the one place with state."""

import sys
from _thread import RLock

from . import _import_hook

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any, Callable, Optional

    from ._status import Detection, State, Status
    from .detection import Request

# Held while the following is compared and set, and never while anything is imported, patched or logged. An import waits
# for other threads that import, one of which may be at the end of its import of the library and about to come here; and
# a handler of the program's may wait for whatever it likes. It is one that the same thread may take twice, for a signal
# handler that asks for the status.
_lock = RLock()
# Whether the fix is wanted, whether detection is, and what detect() was called with. Replaced as a whole.
_wanted: "dict[str, Any]" = {"fix": True, "detection": True, "asked": None}
_outcome: "Optional[tuple[ModuleType, Status]]" = None  # the library that it is about, and what was done there
_handoffs = 0


def start() -> None:
    """Do what is wanted if the library is there, or when it arrives. Raises nothing."""
    _import_hook.install(_settle)
    if _import_hook.library() is not None:
        _settle()


def change(**wanted: object) -> "Status":
    """Want something else of that from now on, and return the status that this leads to. Raises nothing."""
    global _wanted
    with _lock:
        _wanted = {**_wanted, **wanted}
    start()
    return status()


def status() -> "Status":
    """Return what was done, or what will be when the library arrives. Raises nothing."""
    from dataclasses import replace

    told = _told()
    if told is None:
        start()  # the library may have come past the finder, and nothing been imported since
        told = _told() or _pending()
    remarks = _remarks(told)
    return replace(told, handoffs=_handoffs, reason=f"{told.reason}; {remarks}" if remarks else told.reason)


def loaded_by_autowrapt(library: "ModuleType") -> None:
    """Entry point for autowrapt, which calls it when the library is imported.

    By then nothing is left to do: to load the entry point, autowrapt has imported the package.
    """


def _told() -> "Optional[Status]":
    """Return what came of it in the library that is there now, if anything."""
    outcome = _outcome
    return outcome[1] if outcome and outcome[0] is sys.modules.get(_import_hook.LIBRARY) else None


def _settle() -> None:
    """Bring the library into the state that is wanted, and log that where it is new. Raise nothing."""
    global _outcome
    while True:
        wanted, library = _wanted, sys.modules.get(_import_hook.LIBRARY)
        if library is None:
            return
        status, problems, error = _apply(wanted)
        with _lock:
            # Else something else is wanted by now, and this may have come in between of what another thread did.
            if wanted is _wanted and library is sys.modules.get(_import_hook.LIBRARY):
                before, _outcome = _outcome, (library, status)
                break
    if before != _outcome:
        _log_status(status, problems, error)


def _apply(wanted: "dict[str, Any]") -> "tuple[Status, Sequence[str], Optional[Exception]]":
    """Decide, and act on it. Return what came of it, what to warn of, and an error if there was one."""
    from dataclasses import replace

    from ._status import Status

    problems: Sequence[str] = ()
    error = None
    try:
        from . import _guard

        status, problems = _guard.decide(wanted=wanted["fix"])
        if status.state == "patched":
            from . import _patch

            _patch.install(_note_handoff)
            status = replace(status, reason=f"{status.reason}; both wrappers are in place")
        elif f"{__package__}._patch" in sys.modules:
            from . import _patch

            _patch.uninstall()
    except Exception as caught:
        error = caught
        version = getattr(sys.modules.get(_import_hook.LIBRARY), "__version__", None)
        status = Status("failed", version, f"not patched because of an error: {caught!r}")
    try:
        mode, more_problems, why_not = _detect(wanted)
        problems = [*problems, *more_problems]
        reason = "; ".join([status.reason, *problems, *([f"no detection: {why_not}"] if why_not else [])])
    except Exception as caught:
        error = error or caught
        mode, reason = "unrecognised", f"{status.reason}; no detection because of an error: {caught!r}"
    return replace(status, reason=reason, detection=mode), problems, error


def _pending() -> "Status":
    from ._status import Status

    wanted = _wanted
    state: State = "pending" if wanted["fix"] else "off"
    reason = f"{_import_hook.LIBRARY} is not imported yet" if wanted["fix"] else "switched off by deactivate()"
    request = _request(wanted)
    if request is None:
        return Status(state, None, reason)
    return Status(state, None, "; ".join([reason, *request.problems]), request.mode)


def _note_handoff(in_words: "Callable[[], str]") -> None:
    """Count a handoff that the fix has changed, and log it: the first one so that it is seen. Raises nothing."""
    global _handoffs
    import logging

    with _lock:
        _handoffs += 1
        level = logging.INFO if _handoffs == 1 else logging.DEBUG
    try:
        logger = logging.getLogger(__package__)
        if logger.isEnabledFor(level):
            logger.log(level, in_words())
    except Exception:
        pass  # of a handler or a filter of the program's, whose handoff must go on


def _log_status(status: "Status", problems: "Sequence[str]", error: "Optional[Exception]") -> None:
    import logging

    by_state = {"patched": logging.INFO, "unrecognised": logging.WARNING, "failed": logging.ERROR}
    by_detection = {"report": logging.INFO, "resolve": logging.INFO, "unrecognised": logging.WARNING}
    level = max(by_state.get(status.state, logging.DEBUG), by_detection.get(status.detection, logging.DEBUG))
    told = f"{status.state}: {status.reason}"
    if status.detection != "off":
        told += f"; detection: {status.detection}"
    logger = logging.getLogger(__package__)
    try:
        for problem in problems:
            logger.warning(problem)
        logger.log(logging.ERROR if error else level, told, exc_info=error)
    except Exception:
        pass  # of a handler or a filter of the program's, whose import must go on


# All that the fix knows of detection: it hands over what is asked of it.


def _request(wanted: "dict[str, Any]") -> "Optional[Request]":
    """Return what is asked of detection, or None where nothing is, and nothing of it needs to be imported."""
    import os

    named = os.environ.get("ONENTER_DEADLOCK_FIX_DETECT", "").strip().lower()
    if not wanted["detection"] or not (wanted["asked"] or named not in ("", "off", "0", "false", "no")):
        return None
    from . import detection

    return detection.requested(wanted["asked"])


def _detect(wanted: "dict[str, Any]") -> "tuple[Detection, Sequence[str], str]":
    """Have detection do what is asked of it. Return the mode, what to warn of, and why there is no detection."""
    request = _request(wanted)
    if request is None or request.mode == "off":
        if f"{__package__}.detection" in sys.modules:
            from . import detection

            detection.uninstall()
        return "off", request.problems if request else (), ""
    from . import detection

    why_not = detection.install(request)
    return "unrecognised" if why_not else request.mode, request.problems, why_not


def _remarks(status: "Status") -> str:
    if status.state == "pending" or status.detection in ("off", "unrecognised"):
        return ""
    from . import detection

    return detection.remarks()
