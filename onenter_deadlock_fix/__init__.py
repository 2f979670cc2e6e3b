"""Make ``on_enter`` -> ``generate_reply`` -> tool -> ``AgentTask`` work on livekit-agents 1.2.0 to 1.3.5.

Importing this package is enough. It patches livekit-agents when that is imported, and only a release that has the
deadlock of livekit/agents issue #4109; nothing of any other release is touched.
"""

# This runs in every Python process that has the shim in its sitecustomize, so it imports next to nothing.
from . import _activation

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from ._status import Detection, Mode, State, Status

__version__ = "0.2.0.dev0"
__all__ = ["Detection", "Mode", "State", "Status", "__version__", "activate", "deactivate", "detect", "status"]


def activate() -> "Status":
    """Activate the fix, now or when ``livekit.agents`` is imported; return the resulting status. Raises nothing.

    Importing the package has done this already; call it after ``deactivate()``. ``ONENTER_DEADLOCK_FIX=off`` wins.
    """
    return _activation.configure(fix=True, detection=True)


def deactivate() -> "Status":
    """Put the library's own functions back, those for detection too; return the resulting status. Raises nothing.

    Where other code has wrapped the shim's wrappers in turn, they stay and pass every call through.
    """
    return _activation.configure(fix=False, detection=False)


def detect(mode: "Mode" = "report", *, after: float = 5.0) -> "Status":
    """Watch for handoffs that never finish, also for those that already hang in the calling event loop.

    mode:
        ``report``: log a handoff that has taken ``after`` seconds, with whom it waits for: as an ERROR where it is
        deadlocked, as a WARNING where it merely takes long.
        ``resolve``: also release a deadlocked handoff to an ``AgentTask``, where that is safe.
        ``off``: watch nothing, which is the default.
    after: seconds, 0.05 or more.

    Returns the resulting status. Wins over ``ONENTER_DEADLOCK_FIX_DETECT`` and ``ONENTER_DEADLOCK_FIX_DETECT_AFTER``.
    Raises nothing: an invalid mode means ``report`` and invalid seconds mean 5, with a warning.
    """
    return _activation.configure(detection=True, detect=(mode, after))


def status() -> "Status":
    """Return what the shim does in this process at this moment, and why. Raises nothing."""
    return _activation.status()


if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name):
        if name in ("Detection", "Mode", "State", "Status"):
            from . import _status

            return getattr(_status, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_activation.start()
