"""A signal may strike at any line of the shim: what its handler calls takes effect, and what it raises is raised."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any, Callable

import pytest
from recorder import record
from wrapped_methods import THE_LIBRARYS_OWN, WRAPPED_ONCE, wrappers

PACKAGE = f"{os.sep}onenter_deadlock_fix{os.sep}"


class TimeLimit(Exception):
    pass


def strikes_at(line: int, call: Callable[[], object]) -> bool:
    """Call a function, and raise a signal at the given line of the shim's code; return whether it got that far."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if PACKAGE not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines += 1
            if lines == line:
                sys.settrace(None)
                frame.f_trace = None
                signal.raise_signal(signal.SIGUSR1)
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return lines >= line


@pytest.mark.in_fork("library")
@pytest.mark.parametrize(
    ("during", "handler_calls"),  # or raises an exception
    [
        *(("activate", name) for name in ("status", "deactivate", "detect", None)),
        *(("deactivate", name) for name in ("activate", None)),
    ],
)
def test_signal_at_any_line_of_a_call(during: str, handler_calls: str | None) -> None:
    import onenter_deadlock_fix as shim

    def handler(number: int, frame: FrameType | None) -> None:
        if handler_calls is None:
            raise TimeLimit
        getattr(shim, handler_calls)()

    signal.signal(signal.SIGUSR1, handler)
    wrong = []
    for line in itertools.count(1):
        (shim.deactivate if during == "activate" else shim.activate)()
        is_raised = False
        try:
            if not strikes_at(line, getattr(shim, during)):
                break
        except TimeLimit:
            is_raised = True
            shim.status()  # finishes what was interrupted
        now = wrappers()
        is_consistent = now == (WRAPPED_ONCE if shim.status().state == "patched" else THE_LIBRARYS_OWN)
        if not is_consistent or is_raised != (handler_calls is None):
            wrong.append(line)
    assert line > 100, "the shim's lines were not counted"
    assert wrong == []


@pytest.mark.in_fork
@pytest.mark.parametrize("error", [TimeLimit, KeyboardInterrupt])
@pytest.mark.parametrize(
    ("file", "name", "is_imported_by_the_bootstrap_folder"),
    [
        ("_activation.py", "_apply", False),
        ("_guard.py", "first_mismatch", False),
        ("_wrapping.py", "install", False),
        ("onenter_deadlock_fix/__init__.py", "<module>", True),
        ("_activation.py", "<module>", True),
    ],
)
def test_exception_of_a_handler_in_the_import_of_the_library_is_raised_and_the_next_import_finishes(
    file: str, name: str, is_imported_by_the_bootstrap_folder: bool, error: type[BaseException]
) -> None:
    def handler(number: int, frame: FrameType | None) -> None:
        raise error

    def trace(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename.endswith(file) and frame.f_code.co_name == name:
            sys.settrace(None)
            signal.raise_signal(signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, handler)
    if is_imported_by_the_bootstrap_folder:
        package = importlib.util.find_spec("onenter_deadlock_fix")
        assert package
        sys.path.insert(0, f"{package.submodule_search_locations[0]}/bootstrap")  # type: ignore[index]
        importlib.import_module("sitecustomize")
    else:
        importlib.import_module("onenter_deadlock_fix")
    sys.settrace(trace)
    with pytest.raises(error):
        import livekit.agents
    assert sys.gettrace() is None, "the function was not called"
    import tabnanny  # noqa: F401  # the next import of anything

    import livekit.agents  # noqa: F401

    assert wrappers() == WRAPPED_ONCE
    assert sys.modules["onenter_deadlock_fix"].status().state == "patched"


@pytest.mark.in_fork
@pytest.mark.parametrize("parameters", ["number, frame", "*args", "number, frame=None, *, more=()", None])
def test_exception_in_a_log_handler_is_raised_if_and_only_if_a_signal_handler_raises_it(parameters: str | None) -> None:
    def fail(caller: FrameType) -> None:  # has its caller's frame, as a signal handler has it
        raise TimeLimit

    def on_record(record: logging.LogRecord) -> None:
        if parameters:
            signal.raise_signal(signal.SIGUSR1)
        fail(sys._getframe())

    import onenter_deadlock_fix

    names: dict[str, Any] = {"TimeLimit": TimeLimit, "signal": signal}
    exec(f"def handler({parameters or ''}): number = signal.Signals(signal.SIGUSR1); raise TimeLimit(number)", names)
    signal.signal(signal.SIGUSR1, names["handler"])
    record(logging.DEBUG, on_record)
    with pytest.raises(TimeLimit) if parameters else contextlib.nullcontext():
        import livekit.agents  # noqa: F401
    assert parameters or onenter_deadlock_fix.status().state == "patched"
