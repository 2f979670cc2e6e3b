"""Call back when livekit-agents is imported, whoever finds and loads it, and import nothing for that.

A finder that finds nothing is asked about every module that is not imported yet. After ``livekit.agents.voice`` is
complete, every affected release imports more modules before user code runs, so one of these questions comes in time.
What is missed even so, such as a reload, is noticed by the next import of anything and by ``status()``.
"""

import sys

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

LIBRARY = "livekit.agents"
VOICE = f"{LIBRARY}.voice"
_MODULES = (f"{VOICE}.agent", f"{VOICE}.agent_session", f"{VOICE}.agent_activity")
_CLASSES = ("AgentTask", "AgentSession", "AgentActivity")


def loaded_classes() -> "Optional[list[Any]]":
    """Return AgentTask, AgentSession and AgentActivity (None for one that a release lacks); None while not imported."""
    if LIBRARY in sys.modules and (all(map(_is_imported, _MODULES)) or all(map(_is_imported, (VOICE, LIBRARY)))):
        return [_variable(module, name) for module, name in zip(_MODULES, _CLASSES)]
    return None


def is_being_imported(name: str) -> bool:
    """Return whether the import of a module has begun and not ended."""
    return bool(getattr(_variable(name, "__spec__"), "_initializing", False))


def _is_imported(name: str) -> bool:
    return name in sys.modules and type(sys.modules[name]).__name__ != "_LazyModule" and not is_being_imported(name)


def _variable(module: str, name: str) -> "Any":
    """Return a variable of a module, or None. A module of importlib.util.LazyLoader is not loaded by that."""
    try:
        return object.__getattribute__(sys.modules[module], "__dict__").get(name)
    except (KeyError, AttributeError):
        return None  # it is not there, or something odd has been put in its place


class _Finder:
    """Finds nothing, and calls back while ``livekit.agents`` is in ``sys.modules``."""

    def __init__(self, on_import: "Callable[[], object]") -> None:
        self._on_import = on_import

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if LIBRARY in sys.modules and not name.startswith((f"{__package__}", "wrapt", "packaging")):  # needed ourselves
            if sys.meta_path[0] is not self and loaded_classes() is None:
                # One assignment, so that there is no moment without this finder.
                sys.meta_path[:] = [self, *(finder for finder in sys.meta_path if finder is not self)]
            self._on_import()


def install(on_import: "Callable[[], object]") -> None:
    """Have ``on_import`` called at each import while ``livekit.agents`` is in ``sys.modules``."""
    for finder in list(sys.meta_path):
        if type(finder).__module__ == __name__:
            if type(finder) is _Finder:
                return
            sys.meta_path.remove(finder)  # of an earlier import of this package
    sys.meta_path.insert(0, _Finder(on_import))
