"""When: notices that ``livekit.agents`` has arrived, whoever has imported it, and imports nothing for that.

The moment to patch is the end of its import. A finder in front of all others has the loader of the library say when
that has come. What comes past the finder is noticed by a later import of anything, often by one that the library itself
does: where it is still being imported then, its spec says when that ends.
"""

import sys

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import Any, Callable, Optional

LIBRARY = "livekit.agents"
_OVERRIDDEN = "_onenter_deadlock_fix_overridden"

_arrived: "Optional[Callable[[], object]]" = None  # is called, once for each library
_known: "Optional[ModuleType]" = None  # the library that it was called for


def install(arrived: "Callable[[], object]") -> None:
    """Have ``arrived`` called when the library arrives, and again when it is imported anew."""
    global _arrived
    _arrived = arrived
    # in front, and in place of one that an earlier import of this module has left
    sys.meta_path[:] = [_finder, *(finder for finder in sys.meta_path if type(finder).__module__ != __name__)]


def library() -> "Optional[ModuleType]":
    """Return the library if it is there and completely imported; while it is being imported, watch for the end."""
    found = sys.modules.get(LIBRARY)
    # what an attribute is asked of by getattr() may be lazy, and would be loaded by that
    if found is None or type(found).__name__ == "_LazyModule":
        return None
    try:
        spec = object.__getattribute__(found, "__spec__")
    except AttributeError:
        spec = None
    if getattr(spec, "_initializing", False):
        _override(spec, "__setattr__", _set_attribute)
        # asked again: another thread may have come to the end of the import before it was watched
        return None if spec._initializing else found
    return None if _is_executing(found) else found


class _Finder:
    """Finds nothing itself: has the other finders look for the library, and watches the loader that they find.

    It stays in place, since not every search ends in an import, and since the library may be imported anew.
    """

    def find_spec(
        self, name: str, path: "Optional[Sequence[str]]" = None, target: "Optional[ModuleType]" = None
    ) -> "Optional[ModuleSpec]":
        if name == LIBRARY and target is None:  # a reload has a target, and brings no other library
            return self._find_library(path)
        if sys.modules.get(LIBRARY) is not _known and library():
            _tell()
        return None

    def _find_library(self, path: "Optional[Sequence[str]]") -> "Optional[ModuleSpec]":
        finders = list(sys.meta_path)
        if self in finders:
            del finders[: finders.index(self) + 1]  # have been asked
        for finder in finders:
            if not hasattr(finder, "find_spec"):  # of the kind before Python 3.4, which the import system asks itself
                return None
            spec: Optional[ModuleSpec] = finder.find_spec(LIBRARY, path, None)
            if spec is not None:
                loader = spec.loader
                if type(loader).__name__ == "LazyLoader":  # executes nothing; the one that it stands for does, later
                    loader = vars(loader)["loader"]
                _override(loader, "exec_module", _execute)
                return spec
        return None


_finder = _Finder()
find_spec = _finder.find_spec  # for the bootstrap folder, which has been asked before this finder was there


def _tell() -> None:
    global _known
    found = sys.modules.get(LIBRARY)
    if found is not None and found is not _known and _arrived:  # a failed import has been taken out again
        _known = found
        _arrived()


def _override(thing: "Any", name: str, method: "Callable[..., object]") -> None:
    """Give one object a method of its own, by a class of its own; leave it where it allows for none.

    The method is called with the object's former class before the usual arguments.
    """
    own = type(thing)
    if _OVERRIDDEN not in vars(own):
        namespace = {"__slots__": (), _OVERRIDDEN: True, name: lambda self, *args: method(own, self, *args)}
        try:  # noqa: SIM105  # contextlib is not imported for this
            object.__setattr__(thing, "__class__", type(own.__name__, (own,), namespace))
        except Exception:
            pass  # its class is one of C's, or allows for no subclass: a later import notices the library


def _execute(own: "Any", loader: "Any", module: "ModuleType") -> None:
    """Execute the library by a loader that is what it was again, and tell that the library has arrived."""
    if module.__name__ != LIBRARY:  # a loader may be for several modules
        own.exec_module(loader, module)
        return
    object.__setattr__(loader, "__class__", own)
    loader.exec_module(module)
    _tell()


def _set_attribute(own: "Any", spec: object, name: str, value: object) -> None:
    """Tell that the library has arrived when the import system notes the end of its import on the spec.

    The last thing that it does, after a failed import as well, is to set ``_initializing`` to False; other threads wait
    for that.
    """
    if name != "_initializing" or value:
        own.__setattr__(spec, name, value)
        return
    object.__setattr__(spec, "__class__", own)
    try:
        _tell()
    finally:
        setattr(spec, name, value)


def _is_executing(module: "ModuleType") -> bool:
    """Say whether some thread is in the middle of the module's code: one loaded by hand isn't marked otherwise."""
    for frame in sys._current_frames().values():
        inner: Optional[FrameType] = frame
        while inner is not None:
            if inner.f_code.co_name == "<module>" and inner.f_globals.get("__name__") == LIBRARY:
                return True
            inner = inner.f_back
    return False
