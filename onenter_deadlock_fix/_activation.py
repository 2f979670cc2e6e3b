"""Apply the requested settings to livekit-agents once it is imported. The one module with state."""

import os
import sys
from _thread import RLock

from . import _import_hook

TYPE_CHECKING = False  # like typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from typing import Any, Optional

    from ._guard import Verdict
    from ._status import Detection, State, Status

    Outcome = tuple[State, Optional[str], str, Detection]  # state, release, reason, mode of detection

# Held while settings are applied, but never during an import or a log call: these may wait for other threads.
# Reentrant, because a signal handler may need it in the thread that holds it.
_lock = RLock()
_settings: "dict[str, Any]" = {"fix": True, "detection": True, "detect_call": None}  # replaced as a whole
_applied: "Any" = None  # a namespace: classes, the settings applied to them, their verdict, and the outcome
_was_logged = False
_DEACTIVATED = "switched off by deactivate()"
_Namespace: "Any" = type(sys.implementation)  # types.SimpleNamespace, without importing types
_EFFECTS = {
    "patched": "active",
    "unconfirmed": "perhaps not active",
    **dict.fromkeys(("fixed-upstream", "predates"), "not needed"),
}

# These modules, once imported. Not looked up in sys.modules, because a test runner may have purged it.
_patch: "Any" = None
_detection: "Any" = None


def start(library: object = None) -> None:
    """Apply the settings now, or when livekit-agents is imported. Raise nothing. Autowrapt passes the library."""
    if sys.meta_path is not None:  # else the interpreter is shutting down
        _import_hook.install(_reconcile)
        _reconcile(_import_hook.loaded_classes())


def configure(**settings: object) -> "Status":
    """Update the requested settings, and return the resulting status. Raise nothing."""
    global _settings
    with _lock:
        _settings = {**_settings, **settings}
    return status()


def status() -> "Status":
    """Return what the shim does in this process at this moment. Raise nothing."""
    start()  # livekit-agents may have been imported without consulting the finder
    state: State
    settings, classes = _settings, _import_hook.loaded_classes()
    applied = _applied_to(classes)
    if applied is None:
        detection, warnings, _ = _configure_detection(settings, should_apply=False)
        # With classes, it has interrupted or overtaken the call that applies the settings.
        pending = f"{_import_hook.LIBRARY} is {'not imported yet' if classes is None else 'about to be examined'}"
        state, reason = ("pending", pending) if settings["fix"] else ("off", _DEACTIVATED)
        return _make_status(state, None, "; ".join([reason, *warnings]), detection)
    state, release, reason, detection = applied.outcome
    try:
        replacement = _patch.describe_replacement(classes) if state == "patched" else None
    except Exception as error:  # raised by a replacement that other code has installed
        _raise_if_from_signal_handler(error)
        replacement = f"unknown, because of {type(error).__name__}"
    if replacement:
        state, reason = "unconfirmed", f"patched, but other code has replaced a method since: {replacement}"
    if detection in ("report", "resolve"):
        reason = "; ".join([reason, *_detection.remarks()])
    return _make_status(state, release, reason, detection)


def _make_status(state: "State", release: "Optional[str]", reason: str, detection: "Detection") -> "Status":
    try:
        from ._status import Status
    except ImportError:  # an outer frame is importing it, or the interpreter is shutting down
        Status = _Namespace  # type: ignore[misc]
    handoffs = _patch.handoffs if _patch else 0
    return Status(state=state, livekit_agents=release, reason=reason, detection=detection, handoffs=handoffs)


def _applied_to(classes: "Optional[list[Any]]") -> "Any":
    """Return what was applied to these classes, or None. A reload or a second import creates new classes."""
    applied = _applied
    return applied if applied is not None and applied.classes == classes else None


def _reconcile(classes: "Optional[list[Any]]") -> None:
    """Apply the settings to the imported livekit-agents and log the outcome, unless that has been done already."""
    while classes is not None:
        settings, before = _settings, _applied_to(classes)
        if (before is not None and before.settings is settings) or _must_wait():
            return
        record = _apply(settings, classes, before and before.verdict)
        if record is not None:
            _log(*record)


def _must_wait() -> bool:
    """Return whether an outer frame applies settings, or a dependency is being imported; a later call then does it."""
    frame: Any = sys._getframe()
    while frame is not None and frame.f_code is not _apply.__code__:
        frame = frame.f_back
    needed = ("wrapt", "packaging.version", f"{__package__}._patch")
    return frame is not None or any(map(_import_hook.is_being_imported, needed))


def _apply(
    settings: "dict[str, Any]", classes: "list[Any]", verdict: "Optional[Verdict]"
) -> "Optional[tuple[Outcome, str, Optional[Exception]]]":
    """Apply the settings; return what to log, or None if that is logged already or the settings have changed."""
    global _applied, _patch
    warnings: list[str] = []
    error = None
    try:
        from . import _guard

        verdict = verdict or _guard.examine()
        switched_off_by, warnings = _guard.read_switch()
        switched_off_by = switched_off_by or ("" if settings["fix"] else _DEACTIVATED)
        state: State = "patched" if verdict.state == "affected" else verdict.state
        reason = verdict.reason
        if switched_off_by:
            state, reason = "off", f"{switched_off_by}; {reason}"
        elif state == "patched":
            from . import _patch

            reason = f"{reason}; the wrappers that fix it are installed"
        with _lock:
            if settings is _settings and state == "patched":
                _patch.install(classes, verdict, _log_status_once)
            elif settings is _settings and state == "off" and _patch is not None:
                _patch.uninstall()
    except Exception as caught:
        _raise_if_from_signal_handler(caught)
        state, reason, error = "failed", f"not patched because of an error: {caught!r}", caught
        with _lock:
            if settings is _settings and _patch is not None:
                _patch.uninstall()
    detection, more_warnings, detection_error = _configure_detection(settings, should_apply=True)
    warnings, error = [*warnings, *more_warnings], error or detection_error
    is_unprotected = state == "unrecognised" or (state == "off" and verdict is not None and verdict.state == "affected")
    level = "WARNING" if warnings or is_unprotected else "DEBUG" if detection == "off" else "INFO"
    outcome = (state, verdict and verdict.release, "; ".join([reason, *warnings]), detection)
    with _lock:
        if settings is not _settings:
            return None  # another call has changed them meanwhile, so they are applied again
        before = _applied_to(classes)
        _applied = _Namespace(classes=classes, settings=settings, verdict=verdict, outcome=outcome)
    is_logged = before is not None and before.outcome == outcome
    return None if is_logged else (outcome, "ERROR" if error else level, error)


def _configure_detection(
    settings: "dict[str, Any]", *, should_apply: bool
) -> "tuple[Detection, list[str], Optional[Exception]]":
    """Pass the settings to detection, if it was ever requested; return its mode, warnings, and a caught error."""
    global _detection
    try:
        if _detection is None:
            from ._guard import OFF_WORDS

            word = os.environ.get("ONENTER_DEADLOCK_FIX_DETECT", "").strip().lower()
            if not (settings["detection"] and (settings["detect_call"] or word not in ("", *OFF_WORDS))):
                return "off", [], None
            from . import detection as _detection
        call = settings["detect_call"] if settings["detection"] else _detection.OFF
        with _lock:
            return (*_detection.configure(call, should_apply=should_apply and settings is _settings), None)
    except Exception as error:
        _raise_if_from_signal_handler(error)
        return "unrecognised", [f"no detection because of an error: {error!r}"], error


def _log_status_once() -> None:
    """Log the status when the first session of this process starts: by then livekit-agents has set up logging."""
    global _was_logged
    if not _was_logged:
        _was_logged = True
        now = status()
        outcome = (now.state, now.livekit_agents, now.reason, now.detection)
        _log(outcome, "INFO" if now.state == "patched" else "WARNING")


def _log(outcome: "Outcome", level: str, error: "Optional[Exception]" = None) -> None:
    import logging

    state, release, reason, detection = outcome
    effect = _EFFECTS.get(state, "NOT active")
    detected = "" if detection == "off" else f"; detection: {detection}"
    text = f"onenter-deadlock-fix is {effect} on livekit-agents {release} ({state}): {reason}{detected}"
    try:
        logging.getLogger(__package__).log(getattr(logging, level), text, exc_info=error)
    except Exception as caught:  # raised by a log handler of the program, which must go on
        _raise_if_from_signal_handler(caught)


def _raise_if_from_signal_handler(error: Exception) -> None:
    """Re-raise an error that a signal handler has raised, such as a time limit; return if it was another one.

    A signal handler is recognized by its arguments: a number and the frame of its caller.
    """
    traceback = error.__traceback__
    while traceback is not None:
        frame, code = traceback.tb_frame, traceback.tb_frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04)  # inspect.CO_VARARGS
        arguments = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
        arguments += [value for argument in arguments if type(argument) is tuple for value in argument]  # *args
        has_caller = frame.f_back is not None and any(value is frame.f_back for value in arguments)
        if has_caller and any(issubclass(type(value), int) for value in arguments):
            raise error
        traceback = traceback.tb_next
