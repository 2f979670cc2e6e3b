"""livekit-agents is patched by the end of its import, in whatever way it is imported, also if nobody calls status()."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Callable

import pytest
from programs import AlteredLibrary
from wrapped_methods import AWAIT_IMPL, THE_LIBRARYS_OWN, WRAPPED_ONCE, classes, purge, purge_library, wrappers

import onenter_deadlock_fix

pytestmark = pytest.mark.in_fork

LIBRARY, VOICE = "livekit.agents", "livekit.agents.voice"


class OtherFinder:
    """Another tool's finder: finds all of ``livekit``, and alters the spec of one module."""

    def __init__(self, alter: Callable[[ModuleSpec], ModuleSpec], altered: str = LIBRARY) -> None:
        self._alter = alter
        self._altered = altered

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name.startswith("livekit") else None
        return self._alter(spec) if spec and name == self._altered else spec


def loaded_lazily(spec: ModuleSpec) -> ModuleSpec:
    assert spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    return spec


def is_wrapped(agent_task: Any) -> bool:
    return hasattr(vars(agent_task)[AWAIT_IMPL], "__wrapped__")


def import_library() -> ModuleType:
    return importlib.import_module(LIBRARY)


@pytest.mark.in_fork("bare_forks")  # where the library still imports modules that no finder but ours is asked for
@pytest.mark.parametrize("lazy", [LIBRARY, VOICE])
def test_found_and_loaded_lazily_by_another_finder(lazy: str) -> None:
    sys.meta_path.insert(0, OtherFinder(loaded_lazily, lazy))  # type: ignore[arg-type]
    library = import_library()
    if lazy == LIBRARY:
        assert VOICE not in sys.modules
        library.AgentTask  # noqa: B018
    assert wrappers() == WRAPPED_ONCE


def test_finder_that_is_asked_once_in_the_middle_moves_in_front_of_others(altered: AlteredLibrary) -> None:
    altered.replace("\nimport asyncio", "\nimport tabnanny\nimport asyncio", "voice/agent.py")
    altered.put_on_path()
    sys.meta_path.insert(0, OtherFinder(copy.copy))  # type: ignore[arg-type]
    import_library()
    assert wrappers() == WRAPPED_ONCE


@pytest.mark.parametrize("is_lazy", [False, True])
def test_loaded_as_the_documentation_of_importlib_shows(is_lazy: bool) -> None:
    import livekit

    spec = PathFinder.find_spec(LIBRARY, livekit.__path__)
    assert spec
    spec = loaded_lazily(spec) if is_lazy else spec
    sys.modules[LIBRARY] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    if is_lazy:
        onenter_deadlock_fix.status()
        assert VOICE not in sys.modules, "status() has loaded it"
        module.AgentTask  # noqa: B018
    assert wrappers() == WRAPPED_ONCE


def test_found_several_times_and_its_loader_and_spec_are_its_own() -> None:
    specs = [importlib.util.find_spec(LIBRARY) for _ in range(3)]
    library = import_library()
    specs += [importlib.util.find_spec(LIBRARY), library.__spec__]
    assert {type(spec) for spec in specs} == {ModuleSpec}
    assert type(library.__loader__).__name__ == "SourceFileLoader"
    assert library.__loader__ is specs[-1].loader  # type: ignore[union-attr]
    assert wrappers() == WRAPPED_ONCE


def fails_at_its_end(spec: ModuleSpec) -> ModuleSpec:
    execute = spec.loader.exec_module  # type: ignore[union-attr]
    spec.loader.exec_module = lambda module: (execute(module), 1 / 0)  # type: ignore[union-attr,method-assign]
    return spec


def test_import_that_fails_at_its_end_and_is_tried_again() -> None:
    sys.meta_path.insert(1, OtherFinder(fails_at_its_end))  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        import_library()
    del sys.meta_path[1]
    assert onenter_deadlock_fix.status().state == "pending"
    import_library()
    assert wrappers() == WRAPPED_ONCE


@pytest.mark.parametrize("renewed", ["library", "agent", "voice"])
def test_renewed_in_part(renewed: str) -> None:
    import_library()
    first = classes()[0]
    if renewed == "voice":
        purge(VOICE)
        importlib.import_module(VOICE)
    else:
        importlib.reload(sys.modules[LIBRARY if renewed == "library" else f"{VOICE}.agent"])
    import tabnanny  # noqa: F401  # the next import of anything

    assert wrappers() == WRAPPED_ONCE
    assert (classes()[0] is first) == (renewed == "library")
    onenter_deadlock_fix.deactivate()
    assert not is_wrapped(first)
    onenter_deadlock_fix.activate()
    assert is_wrapped(first), "livekit.agents still has it"


def test_handoffs_after_a_reload_of_the_activity() -> None:
    import_library()
    importlib.reload(sys.modules[f"{VOICE}.agent_activity"])  # its context variables are others
    from scenarios import pattern, stage

    assert stage.play(pattern.the_pattern)["ended"] == "completed"


def test_class_that_is_purged_alone_stays_patched() -> None:
    first = import_library().AgentTask
    del sys.modules[f"{VOICE}.agent"]
    assert onenter_deadlock_fix.status().state == "unrecognised"
    assert is_wrapped(first), "livekit.agents still has it"
    importlib.import_module(f"{VOICE}.agent")
    assert onenter_deadlock_fix.status().state == "patched"
    assert is_wrapped(first)


def test_purged_and_imported_anew() -> None:
    first = import_library().AgentTask
    purge_library()
    assert onenter_deadlock_fix.status().state == "pending"
    assert import_library().AgentTask is not first
    assert wrappers() == WRAPPED_ONCE
    assert is_wrapped(first), "a session of the purged library goes on"
    assert (onenter_deadlock_fix.deactivate().state, wrappers()) == ("off", THE_LIBRARYS_OWN)
    assert (onenter_deadlock_fix.activate().state, wrappers()) == ("patched", WRAPPED_ONCE)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_meta_path_was_put_back_to_an_older_list(is_replaced: bool) -> None:
    older = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("onenter_deadlock_fix")]
    if is_replaced:
        sys.meta_path = older
    else:
        sys.meta_path[:] = older
    import_library()
    assert wrappers() == WRAPPED_ONCE


def test_path_hooks_are_a_tuple() -> None:
    sys.path_hooks = tuple(sys.path_hooks[1:])  # type: ignore[assignment]  # as Python itself accepts
    assert onenter_deadlock_fix.status().state == "pending"
    import_library()
    assert wrappers() == WRAPPED_ONCE


def test_stub_was_in_its_place() -> None:
    for name in (LIBRARY, VOICE, *(f"{VOICE}.{name}" for name in ("agent", "agent_session", "agent_activity"))):
        sys.modules[name] = ModuleType(name)
    vars(sys.modules[f"{VOICE}.agent"])["AgentTask"] = "a stub"
    sys.modules[f"{VOICE}.agent_session"] = type("Module", (), {"__dict__": None})()  # type: ignore[assignment]
    import tabnanny  # noqa: F401  # the import of any module is not disturbed

    assert onenter_deadlock_fix.status().state == "unrecognised"


def test_unusual_object_was_in_its_place() -> None:
    class Unusual:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(f"there is no {name}")

    sys.modules[LIBRARY] = sys.modules[VOICE] = Unusual()  # type: ignore[assignment]
    import tabnanny  # noqa: F401  # the import of any module is not disturbed

    assert onenter_deadlock_fix.status().state == "failed"
    del sys.modules[LIBRARY], sys.modules[VOICE]
    import_library()
    assert wrappers() == WRAPPED_ONCE
