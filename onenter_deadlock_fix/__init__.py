"""Make ``on_enter`` -> ``generate_reply`` -> tool -> ``AgentTask`` work on livekit-agents 1.2.0 to 1.3.5.

Importing this package is enough. It patches livekit-agents when that is imported, if the release has the deadlock of
livekit/agents issue #4109. It changes no other release, unless detection is requested.
"""

# This runs in every Python process that has the shim in its sitecustomize, so it imports next to nothing.
from . import _activation

TYPE_CHECKING = False  # like typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from ._status import Detection, Mode, State, Status

__version__ = "0.2.0.dev0"
__all__ = ["Detection", "Mode", "State", "Status", "__version__", "activate", "deactivate", "detect", "status"]


def activate() -> "Status":
    """Undo ``deactivate()``, for the fix and for detection; return the resulting status. Raises nothing.

    The import of the package activates the fix, too. ``ONENTER_DEADLOCK_FIX=off`` keeps the fix off, but not detection.
    """
    return _activation.configure(fix=True, detection=True)


def deactivate() -> "Status":
    """Unpatch livekit-agents and switch detection off; return the resulting status. Raises nothing.

    Wrappers that other code has wrapped in turn can't be removed; they stay and only forward calls.
    """
    return _activation.configure(fix=False, detection=False)


def detect(mode: "Mode" = "report", *, after: float = 5.0) -> "Status":
    """Watch for handoffs, drains, closes and runs that never finish, also those that hang already in this event loop.

    mode:
        ``report``: log a handoff that has taken ``after`` seconds, and what it waits for: as an ERROR if it is
        deadlocked, as a WARNING if it is only slow.
        ``resolve``: also release the speeches that a deadlocked handoff or drain waits for, if that is safe.
        ``off``: watch nothing, which is the default.
    after: seconds, 0.05 or more.

    Returns the resulting status. Overrides ``ONENTER_DEADLOCK_FIX_DETECT`` and ``ONENTER_DEADLOCK_FIX_DETECT_AFTER``.
    Raises nothing: an invalid mode means ``report`` and invalid seconds mean 5, with a warning.
    """
    return _activation.configure(detection=True, detect_call=(mode, after))


def status() -> "Status":
    """Return what the shim does in this process at this moment, and why. Raises nothing."""
    return _activation.status()


if not TYPE_CHECKING:  # else a type checker would accept any attribute

    def __getattr__(name):
        if name in ("Detection", "Mode", "State", "Status"):
            from . import _status

            return getattr(_status, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_activation.start()
