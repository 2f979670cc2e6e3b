"""A signal may strike at any line of the shim: what its handler calls holds, and what it raises is not swallowed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Callable

import pytest
from programs import Forks, run

PACKAGE = f"{os.sep}onenter_deadlock_fix{os.sep}"


class TimeLimit(Exception):
    pass


def strikes_at(line: int, call: Callable[[], object], handler: Callable[[], object]) -> bool:
    """Call something, and a signal handler at the given line of the shim's code; return whether it got that far."""
    lines = 0
    signal.signal(signal.SIGUSR1, lambda number, frame: handler())

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


def wrapped() -> list[bool]:
    from livekit.agents import AgentSession, AgentTask

    methods = [vars(AgentTask)["_AgentTask__await_impl"], vars(AgentSession)["_update_activity"]]
    return [type(method).__module__ == "onenter_deadlock_fix._wrapping" for method in methods]


def calls_at_every_line(calls: str, during: str) -> list[int]:
    """Return the lines of a call of the API at which a handler's call of it leaves the two in disagreement."""
    import onenter_deadlock_fix as shim
    from onenter_deadlock_fix import _activation

    inconsistent, line = [], 0
    is_over = False
    while not is_over:
        line += 1
        (shim.deactivate if during == "activate" else shim.activate)()
        is_over = not strikes_at(line, getattr(shim, during), getattr(shim, calls))
        # whichever of the two was the last to set it
        if wrapped() != [_activation._settings["fix"]] * 2:
            inconsistent.append(line)
    assert line > 100, "the shim's lines were not counted"
    return inconsistent


def raises_at_every_line(during: str) -> list[int]:
    """Return the lines at which what a handler raises is swallowed, or one wrapper is left alone."""
    import onenter_deadlock_fix as shim

    def handler() -> None:
        raise TimeLimit

    wrong, line = [], 0
    is_over = False
    while not is_over:
        line += 1
        (shim.deactivate if during == "activate" else shim.activate)()
        try:
            is_over = not strikes_at(line, getattr(shim, during), handler)
            is_swallowed = not is_over
        except TimeLimit:
            is_swallowed = False
        state = shim.status().state  # finishes what was interrupted
        if is_swallowed or wrapped() != [state == "patched"] * 2:
            wrong.append(line)
    assert line > 100, "the shim's lines were not counted"
    return wrong


@pytest.mark.parametrize(
    ("calls", "during"),
    [("status", "activate"), ("deactivate", "activate"), ("activate", "deactivate"), ("detect", "activate")],
)
def test_handler_may_call_the_api_at_any_line(calls: str, during: str, library: Forks) -> None:
    assert library.call(calls_at_every_line, calls, during) == []


@pytest.mark.parametrize("during", ["activate", "deactivate"])
def test_what_a_handler_raises_at_any_line_is_raised_and_the_next_status_finishes(during: str, library: Forks) -> None:
    assert library.call(raises_at_every_line, during) == []


IMPORT = """
import signal, sys
STARTS
class TimeLimit(Exception):
    pass

def handler(number, frame):
    raise ERROR

signal.signal(signal.SIGUSR1, handler)

def trace(frame, event, argument):
    if frame.f_code.co_filename.endswith("FILE") and frame.f_code.co_name == "FUNCTION":
        sys.settrace(None)
        signal.raise_signal(signal.SIGUSR1)

sys.settrace(trace)
try:
    import livekit.agents
except ERROR:
    print("raised")
import livekit.agents
import tabnanny  # the next import of anything
from livekit.agents import AgentTask
print(type(vars(AgentTask)["_AgentTask__await_impl"]).__module__, sys.modules["onenter_deadlock_fix"].status().state)
"""


@pytest.mark.parametrize("error", ["TimeLimit", "KeyboardInterrupt"])
@pytest.mark.parametrize(
    ("file", "function", "starts"),
    [
        ("_activation.py", "_apply", "import onenter_deadlock_fix"),
        ("_guard.py", "first_mismatch", "import onenter_deadlock_fix"),
        ("_wrapping.py", "install", "import onenter_deadlock_fix"),
        ("onenter_deadlock_fix/__init__.py", "<module>", ""),
        ("_activation.py", "<module>", ""),
    ],
)
def test_what_a_handler_raises_in_the_import_is_raised_and_the_next_import_finishes(
    file: str, function: str, starts: str, error: str, tmp_path: Path, forks: Forks
) -> None:
    program = IMPORT.replace("STARTS", starts).replace("FILE", file).replace("FUNCTION", function)
    program = program.replace("ERROR", error)
    if starts:
        ended = forks.run(["-c", program], cwd=tmp_path)
    else:  # the bootstrap folder imports the package when the library is looked for
        folder = run([sys.executable, "-m", "onenter_deadlock_fix", "path"], cwd=tmp_path).stdout.strip()
        ended = run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": folder})
    assert ended.stdout.splitlines() == ["raised", "onenter_deadlock_fix._wrapping patched"], ended.stderr
