"""Call back when livekit-agents is imported, by whichever finder and loader; import no other module.

Python calls ``find_spec()`` of the first finder for every module that is not imported yet. After
``livekit.agents.voice`` is complete, every affected release imports more modules before user code runs, so one of these
calls comes before that. Where none follows, as after a reload, the next import of anything or ``status()`` notices it.
"""

import sys
from _weakref import ref

TYPE_CHECKING = False  # like typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn, Optional

LIBRARY = "livekit.agents"
_VOICE = f"{LIBRARY}.voice"
_MODULES = (f"{_VOICE}.agent", f"{_VOICE}.agent_session", f"{_VOICE}.agent_activity")
_CLASSES = ("AgentTask", "AgentSession", "AgentActivity")
_OWN_IMPORTS = (f"{__package__}", "wrapt", "packaging")  # the callback imports these itself


def install(on_import: "Callable[[list[Any]], object]") -> None:
    """Call ``on_import`` with the loaded classes whenever Python looks for a module and there are loaded classes."""
    _finder.on_import = on_import
    for entries, entry in ((sys.meta_path, _finder), (sys.path_hooks, _restore_finder)):
        if not any(other is entry for other in entries or ()):
            _put_first(entries, entry)


def loaded_classes() -> "Optional[list[Any]]":
    """Return weak references to AgentTask, AgentSession and AgentActivity, or None until they are imported.

    A reference is None for a class that a release lacks.
    """
    if LIBRARY in sys.modules and (all(map(_is_imported, _MODULES)) or all(map(_is_imported, (LIBRARY, _VOICE)))):
        classes = [_variable(module, name) for module, name in zip(_MODULES, _CLASSES)]
        return [ref(cls) if issubclass(type(cls), type) else None for cls in classes]
    return None


def is_being_imported(name: str) -> bool:
    """Return whether the import of a module has begun and not ended."""
    return _is_initializing(sys.modules.get(name))


def _is_imported(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and not _is_initializing(module) and type(module).__name__ != "_LazyModule"


def _is_initializing(module: "Any") -> bool:
    try:
        return bool(object.__getattribute__(module, "__dict__")["__spec__"]._initializing)
    except (KeyError, AttributeError, TypeError):
        return False  # it is not imported by a loader, or was replaced by an unusual object


def _variable(module: str, name: str) -> "Any":
    """Return a variable of a module, or None. This does not load a module of importlib.util.LazyLoader."""
    try:
        return object.__getattribute__(sys.modules.get(module), "__dict__").get(name)
    except AttributeError:
        return None


class _Finder:
    """Finds nothing, and calls back. While the library is half imported, it moves itself to the front."""

    on_import: "Callable[[list[Any]], object]"

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if LIBRARY in sys.modules and not name.startswith(_OWN_IMPORTS):
            # Most modules are imported this early, and loaded_classes() would take too long for each of them.
            is_early = _MODULES[-1] not in sys.modules and (_VOICE not in sys.modules or is_being_imported(LIBRARY))
            classes = None if is_early else loaded_classes()
            if classes is not None:
                self.on_import(classes)
            elif not sys.meta_path or sys.meta_path[0] is not self:
                _put_first(sys.meta_path, self)


_finder = _Finder()


def _restore_finder(folder: object) -> "NoReturn":
    """Put back the finder if other code has removed it. As a path hook, this is called for each new folder."""
    install(_finder.on_import)
    raise ImportError


def _put_first(entries: object, entry: object) -> None:
    """Put an entry first, and remove those of an earlier import of this package. Other threads see one change."""
    if isinstance(entries, list):  # it may be None while the interpreter shuts down
        entries[:] = [entry, *(other for other in entries if getattr(other, "__module__", None) != __name__)]
