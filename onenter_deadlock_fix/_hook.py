"""When: waits for ``livekit.agents`` without importing anything, then has the guard decide and the patch act."""

import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery's own, without importing that
from _thread import get_ident

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
    _look()


def deactivate() -> None:
    """Give the library its own functions back, and leave it alone when it arrives."""
    global _deactivated
    _deactivated = True
    _look()


def status() -> "Status":
    """Return what was decided, or what can be said as long as nothing is."""
    from ._status import Status

    if _settled is None:
        _look()  # it may have come past the finder: by another tool's finder in front of it, or loaded by hand
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

    def __init__(self) -> None:
        self._asking: set[int] = set()  # threads

    def find_spec(
        self, name: str, path: "Optional[Sequence[str]]" = None, target: "Optional[ModuleType]" = None
    ) -> "Optional[ModuleSpec]":
        thread = get_ident()
        if name != LIBRARY or thread in self._asking:  # another finder of this kind asks us in turn
            return None
        self._asking.add(thread)
        try:
            for finder in list(sys.meta_path):
                spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
                if spec is not None:
                    _watch(spec)
                    return spec
        finally:
            self._asking.discard(thread)
        return None


class _WatchedSpec(ModuleSpec):
    """The spec of the library while that is being imported; it says when the import ends.

    As the last step of an import, failed ones included, the import system sets the spec's ``_initializing`` to
    False, and other threads wait for that. It is a hook that a half imported library still offers, and that leaves
    the module's loader alone.
    """

    def __setattr__(self, name: str, value: object) -> None:
        try:
            if name == "_initializing" and not value:
                object.__setattr__(self, "__class__", ModuleSpec)
                if LIBRARY in sys.modules:  # a failed import has been taken out again
                    _stop_waiting()
                    _settle()
        finally:
            object.__setattr__(self, name, value)


_finder = _Finder()


def _look() -> None:
    """Settle if the library is there; else be told when it is."""
    library = sys.modules.get(LIBRARY)
    spec = getattr(library, "__spec__", None)
    if _is_initializing(spec):
        _watch(spec)
    # asked again: another thread may have come to the end of the import before it was watched
    if library is None or _is_initializing(spec):
        _stop_waiting()
        sys.meta_path.insert(0, _finder)
    else:
        _settle()


def _is_initializing(spec: object) -> bool:
    return bool(getattr(spec, "_initializing", False))


def _watch(spec: object) -> None:
    if type(spec) is ModuleSpec:
        object.__setattr__(spec, "__class__", _WatchedSpec)


def _stop_waiting() -> None:
    """Take the finder off, and one that an earlier import of this module has left."""
    for finder in [finder for finder in sys.meta_path if type(finder).__module__ == __name__]:
        sys.meta_path.remove(finder)


def _settle() -> None:
    """Bring the library into the state that is right for it; keep that state and log it. Raise nothing."""
    global _settled
    before, error = _settled, None
    try:
        try:
            decided = _decide_and_act(before)
        except Exception as caught:
            from ._status import Status

            error = caught
            version = getattr(sys.modules.get(LIBRARY), "__version__", None)
            decided = Status("failed", version, f"not patched because of an error: {error!r}")
        _settled = decided
        if decided != before:
            _log(decided, error)
    except Exception:
        pass  # not even that works, as with a log handler that raises; the program must go on


def _decide_and_act(before: "Optional[Status]") -> "Status":
    from dataclasses import replace

    from . import _guard

    decided = _guard.decide(deactivated=_deactivated)
    if decided.state == "patched":
        from . import _patch

        _patch.put_on()
        return replace(decided, reason=f"{decided.reason}; both wrappers are in place")
    if before is not None and before.state == "patched":
        from . import _patch

        _patch.take_off()
    return decided


def _log(decided: "Status", error: "Optional[Exception]") -> None:
    import logging

    levels = {"patched": logging.INFO, "unrecognised": logging.WARNING, "failed": logging.ERROR}
    level = levels.get(decided.state, logging.DEBUG)
    logging.getLogger(__package__).log(level, "%s: %s", decided.state, decided.reason, exc_info=error)
