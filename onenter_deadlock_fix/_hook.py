"""When: waits for ``livekit.agents`` without importing anything, then has the library brought into its state."""

import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery's own, without importing that
from _thread import RLock, get_ident

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Optional

    from ._status import Status

LIBRARY = "livekit.agents"

_lock = RLock()  # calls may come from several threads, and the import of the library from one more
_deactivated = False
_detection_deactivated = False
_asked: "Optional[tuple[object, object]]" = None  # what detect() was called with
_library: "Optional[ModuleType]" = None  # the one that _settled is about
_settled: "Optional[Status]" = None  # None until the library is there


def activate() -> None:
    """Patch the library if it is there and affected; wait for it where it is not there yet."""
    global _deactivated, _detection_deactivated
    with _lock:
        _deactivated = _detection_deactivated = False
        _look()


def deactivate() -> None:
    """Give the library its own functions back, and leave it alone when it arrives."""
    global _deactivated, _detection_deactivated
    with _lock:
        _deactivated = _detection_deactivated = True
        _look()


def detect(mode: object, after: object) -> None:
    """Detect deadlocks from now on, or when the library arrives, whatever else is switched off."""
    global _asked, _detection_deactivated
    with _lock:
        _asked, _detection_deactivated = (mode, after), False
        _look()


def status() -> "Status":
    """Return what was decided, or what can be said as long as nothing is."""
    from ._status import Status

    with _lock:
        if _settled is None or sys.modules.get(LIBRARY) is not _library:
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

    It stays in place, since not every search ends in an import, and since the library may be imported anew.
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
                    with _lock:
                        _settle()
        finally:
            object.__setattr__(self, name, value)


_finder = _Finder()
find_spec = _finder.find_spec  # for the bootstrap folder, which has been asked before this finder was there


def _look() -> None:
    """Settle if the library is there; else be told when it is."""
    global _library, _settled
    # in front, and in place of one that an earlier import of this module has left
    sys.meta_path[:] = [_finder, *(finder for finder in sys.meta_path if type(finder).__module__ != __name__)]
    library = sys.modules.get(LIBRARY)
    if library is not _library:
        _settled = None
    spec = getattr(library, "__spec__", None)
    if _settled is None and getattr(spec, "_initializing", False):
        _watch(spec)
    # asked again: another thread may have come to the end of the import before it was watched
    if library is not None and (_settled is not None or not getattr(spec, "_initializing", False)):
        _settle()


def _watch(spec: object) -> None:
    if type(spec) is ModuleSpec:
        object.__setattr__(spec, "__class__", _WatchedSpec)


def _settle() -> None:
    """Bring the library into the state that is right for it, and keep that state. Raise nothing."""
    global _library, _settled
    from . import _settling

    library = sys.modules[LIBRARY]
    if library is not _library:
        if _library is not None:
            _settling.forget_other_library()
        _library, _settled = library, None
    _settled = _settling.settle(
        _settled, deactivated=_deactivated, asked=_asked, detection_deactivated=_detection_deactivated
    )
