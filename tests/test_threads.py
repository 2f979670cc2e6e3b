"""``activate()``, ``deactivate()`` and ``detect()`` from several threads at once end in a state that is true."""

from __future__ import annotations

import builtins
import importlib
import logging
import random
import sys
import threading
from typing import Any

import pytest
from recorder import record
from wrapped_methods import THE_LIBRARYS_OWN, WRAPPED_ONCE, wrappers

import onenter_deadlock_fix as shim
from onenter_deadlock_fix import _guard

CALLS = [("activate",), ("deactivate",), ("detect",), ("detect", "off"), ("status",)]


@pytest.mark.in_fork("library")
def test_status_is_true_after_any_calls_at_once() -> None:
    from livekit.agents.voice.agent_activity import AgentActivity

    def make_calls(seed: int) -> None:
        chance = random.Random(seed)
        barrier.wait()
        for _ in range(20):
            name, *arguments = chance.choice(CALLS)
            getattr(shim, name)(*arguments)

    sys.setswitchinterval(1e-6)
    for number in range(20):
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=make_calls, args=(number * 4 + seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = shim.status()
        assert wrappers() == (WRAPPED_ONCE if status.state == "patched" else THE_LIBRARYS_OWN)
        modules = [vars(AgentActivity)[name].__globals__["__name__"] for name in ("pause", "drain")]
        is_watched = [module.startswith("onenter_deadlock_fix.") for module in modules]
        assert is_watched == [status.detection == "report"] * 2


@pytest.mark.in_fork
def test_deactivate_holds_while_another_thread_imports_the_library() -> None:
    library = threading.Thread(target=lambda: __import__("livekit.agents"))
    library.start()
    while library.is_alive():
        shim.activate()
        shim.deactivate()
    assert (shim.status().state, wrappers()) == ("off", THE_LIBRARYS_OWN)


@pytest.mark.in_fork
def test_outcome_that_another_call_has_overtaken_is_not_logged() -> None:
    reasons = []

    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "wrapt":  # which the shim imports before it patches; another thread may get its turn there
                reasons.append(shim.status().reason)
                shim.deactivate()

    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    recorder = record(logging.DEBUG)
    import livekit.agents  # noqa: F401

    assert (shim.status().state, wrappers()) == ("off", THE_LIBRARYS_OWN)
    assert [message for _, message in recorder.messages() if "(patched)" in message] == []
    assert reasons == ["livekit.agents is about to be examined"]


@pytest.mark.in_fork("library")
def test_outcome_is_logged_once_though_several_threads_have_found_it() -> None:
    examine, all_examine = _guard.examine, threading.Barrier(3)
    _guard.examine = lambda: (all_examine.wait(), examine())[1]
    importlib.reload(sys.modules["livekit.agents.voice.agent"])  # its classes are unknown
    recorder = record(logging.DEBUG)
    threads = [threading.Thread(target=shim.status) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([message for _, message in recorder.messages() if "(patched)" in message]) == 1


@pytest.mark.in_fork("bare_forks")
def test_nothing_is_imported_or_logged_while_the_lock_is_held() -> None:
    """So a log handler, or a module that is imported, may wait for another thread that calls ``status()``."""

    class Lock:
        held = taken = 0

        def __enter__(self) -> None:
            self.held += 1
            self.taken += 1

        def __exit__(self, *_: object) -> None:
            self.held -= 1

    def note(event: str) -> None:
        (while_held if lock.held else otherwise).append(event)

    def noting_import(name: str, *args: Any) -> Any:
        before = len(sys.modules)
        module = real_import(name, *args)
        if len(sys.modules) > before:  # else it was imported already, which waits for nobody
            note(f"import: {name}")
        return module

    lock, while_held, otherwise = Lock(), [], []  # type: ignore[var-annotated]
    shim._activation._lock = lock  # type: ignore[attr-defined]
    real_import, builtins.__import__ = builtins.__import__, noting_import
    record(logging.DEBUG, on_record=lambda record: note(f"log: {record.getMessage()}"))
    shim.status()
    shim.deactivate()
    real_import("livekit.agents")
    shim.activate()
    shim.detect("report")
    shim.detect("no mode")  # type: ignore[arg-type]
    shim.deactivate()
    shim.activate()

    assert lock.taken > 0
    assert {event.partition(": ")[0] for event in otherwise} == {"import", "log"}
    assert while_held == []
