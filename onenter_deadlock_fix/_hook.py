"""When: waits for ``livekit.agents`` without importing anything, then has the guard decide and the patch act."""

import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery's own, without importing that

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Optional

    from ._status import Status

LIBRARY = "livekit.agents"

_deactivated = False
_settled: "Optional[Status]" = None  # None until the library is there


def activate() -> None:
    """Patch the library if it is there and affected; wait for it where it is not there yet."""
    global _deactivated
    _deactivated = False
    library = sys.modules.get(LIBRARY)
    spec = getattr(library, "__spec__", None)
    if _is_initializing(spec):
        _watch(spec)
    # asked again: another thread may have come to the end of the import before it was watched
    if library is None or _is_initializing(spec):
        _wait()
    else:
        _settle()


def deactivate() -> None:
    """Give the library its own functions back, and leave it alone when it arrives."""
    global _deactivated
    _deactivated = True
    _stop_waiting()
    if _settled is not None:
        _settle()


def status() -> "Status":
    """Return what was decided, or what can be said as long as nothing is."""
    from ._status import Status

    if _settled is not None:
        return _settled
    if _deactivated:
        return Status("off", None, "switched off by deactivate()")
    return Status("pending", None, f"{LIBRARY} is not imported yet")


def loaded_by_autowrapt(library: "ModuleType") -> None:
    """Entry point for autowrapt, which calls it when the library is imported.

    By then nothing is left to do: to load the entry point, autowrapt has imported the package.
    """


class _Finder:
    """Finds nothing itself: has the other finders look for the library, and watches the import of what they find.

    It stays in place until the library is imported, since not every search ends in an import.
    """

    def find_spec(
        self, name: str, path: "Optional[Sequence[str]]" = None, target: "Optional[ModuleType]" = None
    ) -> "Optional[ModuleSpec]":
        if name != LIBRARY:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    _watch(spec)
                    return spec
        return None


class _WatchedSpec(ModuleSpec):
    """The spec of the library while that is being imported; it says when the import ends.

    As the last step of an import, failed ones included, the import system sets the spec's ``_initializing`` to
    False, and other threads wait for that. It is a hook that a half imported library still offers, and that leaves
    the module's loader alone.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_initializing" and not value:
            object.__setattr__(self, "__class__", ModuleSpec)
            if LIBRARY in sys.modules:  # a failed import has been taken out again
                _stop_waiting()
                _settle()
        object.__setattr__(self, name, value)


_finder = _Finder()


def _is_initializing(spec: object) -> bool:
    return bool(getattr(spec, "_initializing", False))


def _watch(spec: object) -> None:
    if type(spec) is ModuleSpec:
        object.__setattr__(spec, "__class__", _WatchedSpec)


def _wait() -> None:
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _stop_waiting() -> None:
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def _settle() -> None:
    """Bring the library into the state that is right for it; keep that state and log it. Raise nothing."""
    global _settled
    from dataclasses import replace

    from ._status import Status

    before, error = _settled, None
    try:
        from . import _guard

        decided = _guard.decide(deactivated=_deactivated)
        if decided.state == "patched":
            from . import _patch

            _patch.put_on()
            decided = replace(decided, reason=f"{decided.reason}; both wrappers are in place")
        elif before is not None and before.state == "patched":
            from . import _patch

            _patch.take_off()
    except Exception as caught:
        error = caught
        version = getattr(sys.modules[LIBRARY], "__version__", None)
        decided = Status("failed", version, f"not patched because of an error: {error!r}")
    _settled = decided
    if decided != before:
        _log(decided, error)


def _log(decided: "Status", error: "Optional[Exception]") -> None:
    import contextlib
    import logging

    levels = {"patched": logging.INFO, "unrecognised": logging.WARNING, "failed": logging.ERROR}
    level = levels.get(decided.state, logging.DEBUG)
    with contextlib.suppress(Exception):  # of a handler or filter of the program's; its import must go on
        logging.getLogger(__package__).log(level, "%s: %s", decided.state, decided.reason, exc_info=error)
