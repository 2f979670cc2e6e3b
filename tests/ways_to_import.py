"""Ways in which ``livekit.agents`` comes to be imported, with the package imported before."""

from __future__ import annotations

import importlib.util
import sys
import threading
import warnings
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Callable

import onenter_deadlock_fix

LIBRARY = "livekit.agents"
ways: list[Callable[[], None]] = []


def way(function: Callable[[], None]) -> Callable[[], None]:
    ways.append(function)
    return function


class OtherFinder:
    """Another tool's finder, which finds what ``livekit`` is made of, or all."""

    def __init__(self, names: str = "livekit", make: Callable[[ModuleSpec], ModuleSpec] = lambda spec: spec) -> None:
        self._names = names
        self._make = make

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name.startswith(self._names) else None
        return self._make(spec) if spec and name == LIBRARY else spec


class Spec(ModuleSpec):
    """A spec of a class of its own, as in public import hooks."""

    __slots__ = ("more",)


def other_spec(spec: ModuleSpec) -> ModuleSpec:
    other = Spec(spec.name, spec.loader, origin=spec.origin, is_package=True)
    other.submodule_search_locations = spec.submodule_search_locations
    other.has_location = True
    return other


def lazily_loaded(spec: ModuleSpec) -> ModuleSpec:
    assert spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    return spec


class Loader:
    """A loader from before Python 3.4."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def load_module(self, name: str) -> ModuleType:
        module: ModuleType = self._loader.load_module(name)
        return module


class FailsInTheEnd:
    """A loader that raises when it has executed the library, the first time."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self.create_module = loader.create_module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        raise OSError("the end")


def loaded_as_of_old(spec: ModuleSpec) -> ModuleSpec:
    spec.loader = Loader(spec.loader)  # type: ignore[assignment]
    return spec


def fails_in_the_end(spec: ModuleSpec) -> ModuleSpec:
    spec.loader = FailsInTheEnd(spec.loader)  # type: ignore[assignment]
    return spec


def import_it() -> ModuleType:
    return importlib.import_module(LIBRARY)


@way
def finder_in_front() -> None:
    sys.meta_path.insert(0, OtherFinder())  # type: ignore[arg-type]
    import_it()


@way
def finder_in_front_with_a_spec_of_its_own() -> None:
    sys.meta_path.insert(0, OtherFinder(make=other_spec))  # type: ignore[arg-type]
    import_it()


@way
def finder_behind_with_a_spec_of_its_own() -> None:
    sys.meta_path.insert(1, OtherFinder(make=other_spec))  # type: ignore[arg-type]
    import_it()


@way
def finder_in_front_that_loads_lazily() -> None:
    sys.meta_path.insert(0, OtherFinder(make=lazily_loaded))  # type: ignore[arg-type]
    library = import_it()
    assert "livekit.agents.voice" not in sys.modules
    library.AgentTask  # noqa: B018


@way
def loader_of_old() -> None:
    warnings.simplefilter("ignore")
    sys.meta_path.insert(0, OtherFinder(make=loaded_as_of_old))  # type: ignore[arg-type]
    import_it()


@way
def lazy_module_of_the_documentation() -> None:
    spec = importlib.util.find_spec(LIBRARY)
    assert spec
    assert spec.loader
    loader = importlib.util.LazyLoader(spec.loader)
    spec.loader = loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[LIBRARY] = module
    loader.exec_module(module)
    onenter_deadlock_fix.status()
    assert "livekit.agents.voice" not in sys.modules, "asking for the status has loaded it"
    module.AgentTask  # noqa: B018


@way
def loaded_by_hand() -> None:
    import livekit

    spec = PathFinder.find_spec(LIBRARY, livekit.__path__)
    assert spec
    assert spec.loader
    sys.modules[LIBRARY] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


@way
def looked_for_several_times() -> None:
    specs = [importlib.util.find_spec(LIBRARY) for _ in range(3)]
    assert {type(spec) for spec in specs} == {ModuleSpec}
    import_it()
    assert type(importlib.util.find_spec(LIBRARY)) is ModuleSpec


@way
def reloaded() -> None:
    importlib.reload(import_it())


@way
def failed_in_the_end_and_tried_again() -> None:
    finder = OtherFinder(make=fails_in_the_end)
    sys.meta_path.insert(1, finder)  # type: ignore[arg-type]
    try:
        import_it()
    except OSError:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
    assert onenter_deadlock_fix.status().state == "pending"
    import_it()


VOICE_AGENT = f"{LIBRARY}.voice.agent"


@way
def voice_agent_reloaded() -> None:
    import_it()
    first = sys.modules[VOICE_AGENT].AgentTask
    importlib.reload(sys.modules[VOICE_AGENT])
    import tabnanny  # noqa: F401  # the next import of anything

    assert sys.modules[VOICE_AGENT].AgentTask is not first


@way
def voice_purged_and_imported_anew() -> None:
    import_it()
    first = sys.modules[VOICE_AGENT].AgentTask
    for name in [name for name in sys.modules if name.startswith(f"{LIBRARY}.voice")]:
        del sys.modules[name]
    importlib.import_module(f"{LIBRARY}.voice")
    import tabnanny  # noqa: F401  # the next import of anything

    assert sys.modules[VOICE_AGENT].AgentTask is not first


@way
def voice_loaded_lazily() -> None:
    class LazyVoice(OtherFinder):
        def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
            spec = PathFinder.find_spec(name, path) if name == f"{LIBRARY}.voice" else None
            return lazily_loaded(spec) if spec else None

    sys.meta_path.insert(0, LazyVoice())  # type: ignore[arg-type]
    import_it()


@way
def finders_put_back_and_the_status_asked() -> None:
    ours = [finder for finder in sys.meta_path if type(finder).__module__.startswith("onenter_deadlock_fix")]
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in ours]
    import_it()
    assert onenter_deadlock_fix.status().state == "patched"


class Odd:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"there is no {name}")


@way
def something_odd_was_in_its_place() -> None:
    sys.modules[LIBRARY] = sys.modules[f"{LIBRARY}.voice"] = Odd()  # type: ignore[assignment]
    import tabnanny  # noqa: F401  # any module: its import is not disturbed

    assert onenter_deadlock_fix.status().state == "failed"
    del sys.modules[LIBRARY], sys.modules[f"{LIBRARY}.voice"]
    import_it()


@way
def purged_and_imported_anew() -> None:
    first = import_it().AgentTask
    # with prometheus_client, in which livekit.agents can register its metrics only once
    for name in [name for name in sys.modules if name.partition(".")[0] in ("livekit", "prometheus_client")]:
        del sys.modules[name]
    assert import_it().AgentTask is not first
    assert is_wrapped(first, "_AgentTask__await_impl"), "a session of the purged library has lost its wrapper"


@way
def from_several_threads() -> None:
    threads = [threading.Thread(target=import_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_wrapped(owner: type, name: str) -> bool:
    return type(vars(owner)[name]).__module__ == "onenter_deadlock_fix._wrapping"


def imported(way: Callable[[], None]) -> tuple[list[bool], str]:
    """Return whether each of the two methods is wrapped, and the name of the class of the library's spec.

    Nobody has called ``status()`` until then, which would patch what was missed.
    """
    way()
    library = sys.modules[LIBRARY]
    wrapped = [
        is_wrapped(sys.modules[VOICE_AGENT].AgentTask, "_AgentTask__await_impl"),
        is_wrapped(sys.modules[f"{VOICE_AGENT}_session"].AgentSession, "_update_activity"),
    ]
    return wrapped, type(library.__spec__).__name__
