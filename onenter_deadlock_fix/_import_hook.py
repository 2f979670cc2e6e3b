"""When: notices that the part of livekit-agents that is patched has arrived, and imports nothing for that.

A finder sees each import of a module that is not imported yet go by. Once ``livekit.agents.voice`` is among the modules
it is there completely, or being imported, and its spec can say when that ends. So it does not matter who finds it and
who loads it: whether it comes past the finder, by another one in front or by hand, something that it imports itself
goes by, or else a later import of anything.
"""

import sys

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Optional

LIBRARY = "livekit.agents"
VOICE = "livekit.agents.voice"  # what is patched is complete when this is, and a failed import leaves it in place

_arrived: "Optional[Callable[[], object]]" = None  # is called, once for each library
_known: "Optional[ModuleType]" = None  # the library that it was called for


def install(arrived: "Callable[[], object]") -> None:
    """Have ``arrived`` called when the library arrives, and again when it is imported anew."""
    global _arrived
    _arrived = arrived
    # in front, and in place of one that an earlier import of this module has left
    sys.meta_path[:] = [_finder, *(finder for finder in sys.meta_path if type(finder).__module__ != __name__)]


def library() -> "Optional[ModuleType]":
    """Return ``livekit.agents.voice`` if it is completely imported. While it is half imported, watch for the end."""
    voice = sys.modules.get(VOICE)
    if voice is None or LIBRARY not in sys.modules or type(voice).__name__ == "_LazyModule":  # one not loaded yet
        return None
    spec = getattr(voice, "__spec__", None)
    if getattr(spec, "_initializing", False):
        _watch(spec)
        if spec._initializing:  # type: ignore[union-attr]  # else another thread has come to the end before
            return None
    return voice


class _Finder:
    """Finds nothing. It stays in place, since the library may be imported anew."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if sys.modules.get(VOICE) is not _known and library():
            _tell()


_finder = _Finder()
find_spec = _finder.find_spec  # for the bootstrap folder, which has been asked before this finder was there


def _tell() -> None:
    global _known
    found = sys.modules.get(VOICE)
    if found is not None and found is not _known and _arrived:  # a failed import has been taken out again
        _known = found
        _arrived()


def _watch(spec: "Any") -> None:
    """Have the spec of a module that is being imported tell when that ends.

    The import system then sets ``_initializing`` to False, as the last step, after a failed import as well; other
    threads wait for that. For as long, the spec is of a class of its own.
    """
    own: Any = type(spec)

    def setattr_and_tell(self: object, name: str, value: object) -> None:
        if name == "_initializing" and not value:
            object.__setattr__(self, "__class__", own)
            _tell()
        own.__setattr__(self, name, value)

    if getattr(own.__setattr__, "__module__", "") != __name__:
        namespace = {"__setattr__": setattr_and_tell, "__slots__": ()}
        try:  # noqa: SIM105  # contextlib is not imported for this
            object.__setattr__(spec, "__class__", type(own.__name__, (own,), namespace))
        except Exception:
            pass  # a class of C's, or one that allows for none like it: a later import notices the library
