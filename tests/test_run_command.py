"""``onenter-deadlock-fix run`` executes a command, in its own place, with the shim active in every Python it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

Command = Callable[..., Any]

# looking for the library is enough
ACTIVE = (
    "import importlib.util, sys; importlib.util.find_spec('livekit.agents'); "
    "print('onenter_deadlock_fix' in sys.modules)"
)


def test_shim_is_active_in_the_command_and_in_its_children(command: Command) -> None:
    ended = command(
        "run",
        sys.executable,
        "-c",
        f"import subprocess; {ACTIVE}; sys.stdout.flush(); subprocess.run([sys.executable, '-c', {ACTIVE!r}])",
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("True\nTrue\n", "", 0)


def test_arguments_reach_the_command_as_they_are(command: Command) -> None:
    arguments = ["--help", "-x", "a b", "--", "start"]
    ended = command("run", sys.executable, "-c", "import sys; print(sys.argv[1:])", *arguments)
    assert ended.stdout == f"{arguments}\n"
    assert command("run", "echo", "--", "x", "--").stdout == "-- x --\n"
    assert command("run", "--", "echo", "x").stdout == "x\n"


def test_command_is_found_on_path_and_executed_in_place(tmp_path: Path) -> None:
    script = tmp_path / "agent"
    script.write_text("#!/bin/sh\necho $$\nexit 7\n")
    script.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-m", "onenter_deadlock_fix", "run", "agent"],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        told, _ = process.communicate(timeout=60)
    assert (told, process.returncode) == (f"{process.pid}\n", 7)


def test_signal_reaches_the_command() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "onenter_deadlock_fix", "run", "sh", "-c", "echo ready; sleep 60"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGTERM


def test_bootstrap_folder_comes_first_on_pythonpath_and_once(command: Command) -> None:
    folder = command("path").stdout.strip()
    for before, after in [("", folder), ("/a:/b", f"{folder}:/a:/b"), (f"/a:{folder}", f"{folder}:/a")]:
        ended = command("run", "sh", "-c", 'echo "$PYTHONPATH"', env={"PYTHONPATH": before})
        assert ended.stdout == f"{after}\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["no-such-command"], 127, "onenter-deadlock-fix: no-such-command: command not found\n"),
        ([""], 127, "onenter-deadlock-fix: '': command not found\n"),
        (["./text/agent"], 127, "onenter-deadlock-fix: ./text/agent: command not found\n"),
        (["./missing"], 127, "onenter-deadlock-fix: ./missing: command not found\n"),
        (["./text"], 126, "onenter-deadlock-fix: ./text cannot be executed: Permission denied\n"),
        (["./folder"], 126, "onenter-deadlock-fix: ./folder cannot be executed: Permission denied\n"),
        (["./binary"], 126, "onenter-deadlock-fix: ./binary cannot be executed: Exec format error\n"),
    ],
)
def test_command_that_cannot_be_executed(
    arguments: list[str], exit_code: int, said: str, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "text").write_text("print()")
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\x7fnot a program")
    (tmp_path / "binary").chmod(0o755)
    ended = command("run", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, "", said)


def test_no_command_is_usage(command: Command) -> None:
    ended = command("run")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: onenter-deadlock-fix run")
