"""What is wanted, what has come of it, and how often the fix has acted: the one place with state."""

import sys
from _thread import RLock

from . import _import_hook

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Optional

    from ._status import Detection, Status

# Held while the following is compared and set, but never while anything is imported, patched or logged. An import waits
# for other threads that import, one of which may be at the end of its import of the library and about to come here; and
# a handler of the program's may wait for whatever it likes. The thread that holds it may take it again, for a signal
# handler that asks for the status.
_lock = RLock()
# Whether the fix is wanted, whether detection is, and what detect() was called with. Replaced as a whole.
_wanted: "dict[str, Any]" = {"fix": True, "detection": True, "asked": None}
_outcome: "Optional[tuple[ModuleType, Status]]" = None  # the library that it is about, and what was done there
_handoffs = 0


def start() -> None:
    """Do what is wanted, now or when the library arrives. Raises nothing."""
    _import_hook.install(_settle)
    if _import_hook.library():
        _settle()


def change(**wanted: object) -> "Status":
    """Want that from now on, and return the status that it leads to. Raises nothing."""
    global _wanted
    with _lock:
        _wanted = {**_wanted, **wanted}
    start()
    return status()


def status() -> "Status":
    """Return what was done, or what will be when the library arrives. Raises nothing."""
    import contextlib
    from dataclasses import replace

    told, remarks = _told(), ""
    if told is None:
        start()  # the library may have come past the finder, and nothing have been imported since
        told = _told() or _pending(_wanted)
    elif told.detection in ("report", "resolve"):
        with contextlib.suppress(Exception):
            remarks = sys.modules[f"{__package__}.detection.watch"].remarks()
    return replace(told, handoffs=_handoffs, reason=f"{told.reason}; {remarks}" if remarks else told.reason)


def loaded_by_autowrapt(library: "ModuleType") -> None:
    """Do nothing: to load this entry point, autowrapt has imported the package."""


def _told() -> "Optional[Status]":
    """Return what came of it in the library that is there now, if anything."""
    outcome = _outcome
    if outcome and outcome[0] is sys.modules.get(_import_hook.VOICE) and _import_hook.LIBRARY in sys.modules:
        return outcome[1]
    return None


def _settle() -> None:
    """Decide, apply, and then log what came of it if that is new. Raise nothing."""
    global _outcome
    while True:
        wanted, library = _wanted, sys.modules.get(_import_hook.VOICE)
        if library is None:
            return
        status, problems, error = _apply(wanted)
        with _lock:
            # Else something else is wanted by now, and what another thread did about it may just have been undone.
            if wanted is _wanted and library is sys.modules.get(_import_hook.VOICE):
                before, _outcome = _outcome, (library, status)
                break
    if before != _outcome:
        _log(status, problems, error)


def _apply(wanted: "dict[str, Any]") -> "tuple[Status, list[str], Optional[Exception]]":
    """Return what came of it, what is to be warned of, and what has failed."""
    from dataclasses import replace

    from ._status import Status

    problems: list[str] = []
    error = None
    try:
        from . import _guard

        status, problems = _guard.decide(wanted=wanted["fix"])
        if status.state == "patched":
            from . import _patch

            _patch.install(_count_handoff)
            status = replace(status, reason=f"{status.reason}; both wrappers are in place")
        elif f"{__package__}._patch" in sys.modules:
            from . import _patch

            _patch.uninstall()
    except Exception as caught:
        error = caught
        version = getattr(sys.modules.get(f"{_import_hook.LIBRARY}.version"), "__version__", None)
        status = Status("failed", version, f"not patched because of an error: {caught!r}")
    mode, more_problems, other_error = _hand_over(wanted, there=True)
    problems = [*problems, *more_problems]
    status = replace(status, reason="; ".join([status.reason, *problems]), detection=mode)
    return status, problems, error or other_error


def _pending(wanted: "dict[str, Any]") -> "Status":
    from ._status import Status

    mode, problems, _ = _hand_over(wanted, there=False)
    if not wanted["fix"]:
        return Status("off", None, "; ".join(["switched off by deactivate()", *problems]), mode)
    return Status("pending", None, "; ".join([f"{_import_hook.LIBRARY} is not imported yet", *problems]), mode)


def _hand_over(wanted: "dict[str, Any]", *, there: bool) -> "tuple[Detection, list[str], Optional[Exception]]":
    """Have detection do what is asked of it, where the library is there.

    Return the mode, what is to be warned of, and what has failed.
    """
    import os

    named = os.environ.get("ONENTER_DEADLOCK_FIX_DETECT", "").strip().lower()
    nothing = not wanted["detection"] or (wanted["asked"] is None and named in ("", "off", "0", "false", "no"))
    if nothing and f"{__package__}.detection" not in sys.modules:
        return "off", [], None
    try:
        from .detection import config

        request = config.requested(("off", config.AFTER) if nothing else wanted["asked"])
        problems = list(request.problems)
        if request.mode == "off":
            installed = sys.modules.get(f"{__package__}.detection.watch")
            if installed:
                installed.uninstall()
        elif there:
            from .detection import watch

            why_not = watch.install(request)
            if why_not:
                return "unrecognised", [*problems, f"no detection: {why_not}"], None
        return request.mode, problems, None
    except Exception as error:
        return "unrecognised", [f"no detection because of an error: {error!r}"], error


def _log(status: "Status", problems: "list[str]", error: "Optional[Exception]") -> None:
    import contextlib
    import logging

    level = logging.DEBUG
    if status.state == "patched" or status.detection != "off":
        level = logging.INFO
    if problems or "unrecognised" in (status.state, status.detection):
        level = logging.WARNING
    if error:
        level = logging.ERROR
    detection = "" if status.detection == "off" else f"; detection: {status.detection}"
    with contextlib.suppress(Exception):  # of a handler or a filter of the program's, which must go on
        logging.getLogger(__package__).log(level, f"{status.state}: {status.reason}{detection}", exc_info=error)


def _count_handoff() -> int:
    """Count a handoff that the fix changes, and return how many there are in this process."""
    global _handoffs
    with _lock:
        _handoffs += 1
        return _handoffs
