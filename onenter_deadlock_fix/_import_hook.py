"""When: notices that livekit-agents has arrived, whoever has imported it, and imports nothing for that.

A finder sees each import of a module that is not imported yet go by. Once ``livekit.agents`` is among the modules it is
there, or being imported, and then its spec can say when that ends. So it does not matter who finds it and who loads it:
where it comes past the finder, by another one in front or by hand, something that it imports itself goes by, or else a
later import of anything.
"""

import sys

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Optional

LIBRARY = "livekit.agents"
VOICE = "livekit.agents.voice"  # what is patched; it is complete before the rest, which may fail and be tried again

_arrived: "Optional[Callable[[], object]]" = None  # is called, once for each library
_known: "Optional[ModuleType]" = None  # the library that it was called for


def install(arrived: "Callable[[], object]") -> None:
    """Have ``arrived`` called when the library arrives, and again when it is imported anew."""
    global _arrived
    _arrived = arrived
    if _finder not in sys.meta_path:
        for finder in list(sys.meta_path):
            if type(finder).__module__ == __name__:  # one that an earlier import of this module has left
                sys.meta_path.remove(finder)
        sys.meta_path.insert(0, _finder)


def library() -> "Optional[ModuleType]":
    """Return ``livekit.agents`` if what is patched is there. While it is being imported, watch for the end."""
    found = sys.modules.get(LIBRARY)
    if found is None:
        return None
    _is_incomplete(found)
    return None if _is_incomplete(sys.modules.get(VOICE)) else found


def _is_incomplete(module: "Optional[ModuleType]") -> bool:
    if module is None or type(module).__name__ == "_LazyModule":  # one that would load itself if asked for anything
        return True
    try:
        spec: Any = module.__spec__
        if spec._initializing:
            _watch(spec)
        return bool(spec._initializing)  # asked again: another thread may have come to the end before
    except Exception:
        return False  # what has no such spec is not being imported, but something that somebody has put there


class _Finder:
    """Finds nothing. It stays in place, since the library may be imported anew."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if sys.modules.get(LIBRARY) is not _known and library():
            _tell()


_finder = _Finder()
find_spec = _finder.find_spec  # for the bootstrap folder, which has been asked before this finder was there


def _tell() -> None:
    global _known
    found = sys.modules.get(LIBRARY)
    # a failed import has been taken out again
    if found is not None and found is not _known and VOICE in sys.modules and _arrived:
        _known = found
        _arrived()


def _watch(spec: "Any") -> None:
    """Have the spec of a module that is being imported tell when that ends.

    The import system then sets ``_initializing`` to False, as the last step, after a failed import as well; other
    threads wait for that. For as long, the spec is of a class of its own.
    """
    own: Any = type(spec)
    if getattr(own.__setattr__, "__module__", "") == __name__:
        return  # watched already

    def setattr_and_tell(self: object, name: str, value: object) -> None:
        if name == "_initializing" and not value:
            object.__setattr__(self, "__class__", own)
            _tell()
        own.__setattr__(self, name, value)

    namespace = {"__setattr__": setattr_and_tell, "__slots__": ()}
    try:  # noqa: SIM105  # contextlib is not imported for this
        object.__setattr__(spec, "__class__", type(own.__name__, (own,), namespace))
    except Exception:
        pass  # a class of C's, or one that allows for none like it: a later import notices the library
