"""Makes ``on_enter`` -> ``generate_reply`` -> tool -> ``AgentTask`` work on livekit-agents 1.2.0 to 1.3.5.

Importing this package is enough. It patches livekit-agents as soon as that is imported, and only where the
release has the deadlock of livekit/agents issue #4109; anywhere else nothing of the library is touched.
"""

# Nothing but the import system's own modules is imported here: this runs in every Python process of a container
# that has the shim in its sitecustomize, and most of them never see livekit-agents.
from . import _activation

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from ._status import Detection as Detection
    from ._status import Mode as Mode
    from ._status import State as State
    from ._status import Status as Status

__version__ = "0.2.0.dev0"
__all__ = ["Detection", "Mode", "State", "Status", "__version__", "activate", "deactivate", "detect", "status"]


def activate() -> "Status":
    """Switch the shim on, now or as soon as ``livekit.agents`` is imported, and return the resulting status.

    Importing the package has done this already; call it after ``deactivate()``. Doing it twice is doing it once.
    ``ONENTER_DEADLOCK_FIX=off`` in the environment still wins. Raises nothing.
    """
    return _activation.configure(fix=True, detection=True)


def deactivate() -> "Status":
    """Put the library's own functions back, those for detection too, or leave them; return the resulting status.

    Where other code has wrapped on top of the shim since, the shim's wrappers stay and pass everything through.
    A handoff that is under way goes on by the library's own rules. Raises nothing.
    """
    return _activation.configure(fix=False, detection=False)


def detect(mode: "Mode" = "report", *, after: float = 5.0) -> "Status":
    """Have handoffs watched that never end, now or as soon as ``livekit.agents`` is imported; return the status.

    mode:
        ``report``: a handoff that has waited for ``after`` seconds is logged, with whom it waits for: as an ERROR
        where it waits for itself, as a WARNING where it just takes its time.
        ``resolve``: a handoff to an ``AgentTask`` that waits for itself is let go on, too.
        ``off``: nothing is watched.
    after: seconds, 0.05 or more.

    Called in an event loop in which a handoff hangs already, it is for that one, too. Wins over
    ``ONENTER_DEADLOCK_FIX_DETECT`` and ``ONENTER_DEADLOCK_FIX_DETECT_AFTER``. Where neither is used, nothing is
    watched. Raises nothing: a mode that is none counts as ``report`` and seconds that are none as 5, with a warning.
    """
    return _activation.configure(detection=True, detect=(mode, after))


def status() -> "Status":
    """Return what the shim does in this process, and why. Raises nothing."""
    return _activation.status()


if not TYPE_CHECKING:  # a type checker would take it to mean that there is any name

    def __getattr__(name):
        if name in ("Detection", "Mode", "State", "Status"):
            from . import _status

            return getattr(_status, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_activation.start()
