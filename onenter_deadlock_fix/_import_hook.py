"""Call back when livekit-agents is imported, by whichever finder and loader; import no other module.

Python calls ``find_spec()`` of the first finder for every module that is not imported yet. After
``livekit.agents.voice`` is complete, every affected release imports more modules before user code runs, so one of these
calls comes in time. If they miss a reload, for example, then the next import or ``status()`` notices it.
"""

import sys

TYPE_CHECKING = False  # like typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

LIBRARY = "livekit.agents"
VOICE = f"{LIBRARY}.voice"
_MODULES = (f"{VOICE}.agent", f"{VOICE}.agent_session", f"{VOICE}.agent_activity")
_CLASSES = ("AgentTask", "AgentSession", "AgentActivity")
_OWN_IMPORTS = (f"{__package__}", "wrapt", "packaging")  # the callback imports these itself


def loaded_classes() -> "Optional[list[Any]]":
    """Return AgentTask, AgentSession, AgentActivity (None for a class that a release lacks); None until imported."""
    if LIBRARY in sys.modules and (all(map(_is_imported, _MODULES)) or all(map(_is_imported, (VOICE, LIBRARY)))):
        return [_variable(module, name) for module, name in zip(_MODULES, _CLASSES)]
    return None


def is_being_imported(name: str) -> bool:
    """Return whether the import of a module has begun and not ended."""
    return bool(getattr(_variable(name, "__spec__"), "_initializing", False))


def _is_imported(name: str) -> bool:
    return name in sys.modules and type(sys.modules[name]).__name__ != "_LazyModule" and not is_being_imported(name)


def _variable(module: str, name: str) -> "Any":
    """Return a variable of a module, or None. This does not load a module of importlib.util.LazyLoader."""
    try:
        return object.__getattribute__(sys.modules[module], "__dict__").get(name)
    except (KeyError, AttributeError):
        return None  # it is not imported, or was replaced by an unusual object


class _Finder:
    """Finds nothing, and calls back while ``livekit.agents`` is in ``sys.modules``."""

    def __init__(self, on_import: "Callable[[], object]") -> None:
        self._on_import = on_import

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if LIBRARY in sys.modules and not name.startswith(_OWN_IMPORTS):
            if sys.meta_path[0] is not self and loaded_classes() is None:
                # One assignment, so that there is no moment without this finder.
                sys.meta_path[:] = [self, *(finder for finder in sys.meta_path if finder is not self)]
            self._on_import()


def install(on_import: "Callable[[], object]") -> None:
    """Call ``on_import`` at each import while ``livekit.agents`` is in ``sys.modules``."""
    for finder in list(sys.meta_path):
        if type(finder).__module__ == __name__:
            if type(finder) is _Finder:
                return
            sys.meta_path.remove(finder)  # left by an earlier import of this package
    sys.meta_path.insert(0, _Finder(on_import))
