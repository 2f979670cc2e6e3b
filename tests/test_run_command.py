"""``onenter-deadlock-fix run`` executes a command, in its own place, with the shim active in every Python it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import LIMIT

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
        told, _ = process.communicate(timeout=LIMIT)
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
        process.wait(timeout=LIMIT)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "{folder}"),
        ("/a:/b c", "{folder}:/a:/b c"),
        ("/a:{folder}", "{folder}:/a"),
        ("relative", "{folder}:relative"),
        (":/a", "{folder}::/a"),  # an empty entry is the working directory
    ],
)
def test_bootstrap_folder_comes_first_on_pythonpath_and_once(before: str, after: str, command: Command) -> None:
    folder = command("path").stdout.strip()
    ended = command("run", "sh", "-c", 'echo "$PYTHONPATH"', env={"PYTHONPATH": before.format(folder=folder)})
    assert ended.stdout == f"{after.format(folder=folder)}\n"


def test_detection_is_asked_for_in_the_environment_of_the_command(command: Command) -> None:
    told = 'echo "$ONENTER_DEADLOCK_FIX_DETECT $ONENTER_DEADLOCK_FIX_DETECT_AFTER"'
    ended = command("run", "--detect", "resolve", "--detect-after", "0.05", "sh", "-c", told)
    assert ended.stdout == "resolve 0.05\n"


@pytest.mark.parametrize("seconds", ["0.049", "0", "-1", "nan", "inf", "soon", ""])
def test_seconds_that_detection_would_not_take_are_usage(seconds: str, command: Command) -> None:
    ended = command("run", "--detect-after", seconds, "echo")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith(f"argument --detect-after: {seconds!r} is no number of seconds from 0.05 on\n")


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


# what follows "onenter-deadlock-fix run" -> the option to name, and what follows in the advice
@pytest.mark.parametrize(
    ("refused", "named", "works"),
    [
        ("python -I agent.py start", "-I", "python agent.py start"),
        ("python3.11 -E -m agent -I", "-E", "python3.11 -m agent -I"),
        ("/srv/a/bin/python -S agent.py", "-S", "/srv/a/bin/python agent.py"),
        ("python -IS agent.py", "-IS", "python agent.py"),
        ("python -usE agent.py", "-E", "python -us agent.py"),
        ("python -X dev -W error -Wdefault -I agent.py", "-I", "python -X dev -W error -Wdefault agent.py"),
        ("python -Ic pass", "-I", "python -c pass"),
        ("python -I -", "-I", "python -"),
        ("env A=1 python -I agent.py", "-I", "env A=1 python agent.py"),
        ("uv run --python python3.11 -I agent.py", "-I", "uv run --python python3.11 agent.py"),
        ("nice -n 5 pypy3.10 -E agent.py", "-E", "nice -n 5 pypy3.10 agent.py"),
        ("--detect report python -I agent.py", "-I", "--detect report python agent.py"),
    ],
)
def test_python_that_would_not_see_the_shim_is_refused(refused: str, named: str, works: str, command: Command) -> None:
    ended = command("run", *refused.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"onenter-deadlock-fix: Python started with {named} does not read what activates the shim. This works:\n"
        f"  onenter-deadlock-fix run {works}\n"
    )


@pytest.mark.parametrize(
    "arguments", ["-i", "A=1 -i B=2", "-", "--ignore-environment", "-u PYTHONPATH", "-uPYTHONPATH", "PYTHONPATH=/a"]
)
def test_env_that_takes_pythonpath_away_is_refused(arguments: str, command: Command) -> None:
    ended = command("run", "env", *arguments.split(), "python", "-u", "agent.py")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "onenter-deadlock-fix: env would take away the PYTHONPATH that activates the shim. This works:\n"
        f"  env {arguments} onenter-deadlock-fix run python -u agent.py\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        "{python} -suB -c pass -I",
        "{python} -W error -c pass -E",
        "{python} -Wignore::ImportWarning -c pass",
        "{python} -X I -c pass",
        "{python} -m this -I",
        "{python} -c pass python -I",
        "env -u A B=PYTHONPATH=1 {python} -c pass",
        "echo -I",
    ],
)
def test_command_that_only_looks_like_that_is_executed(words: str, command: Command) -> None:
    ended = command("run", *words.format(python=sys.executable).split(), env={"PYTHONNOUSERSITE": "1"})
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("line", ["#!{python} -I", "#!/usr/bin/env -S {python} -uE"])
def test_script_whose_first_line_keeps_its_python_from_the_shim_is_executed_with_a_warning(
    line: str, tmp_path: Path, command: Command
) -> None:
    script = tmp_path / "supervise"
    script.write_text(
        f"{line.format(python=sys.executable)}\nimport subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {ACTIVE!r}])\n"
    )
    script.chmod(0o755)
    ended = command("run", "./supervise")
    assert (ended.returncode, ended.stdout) == (0, "True\n")  # in the child process
    letter = line[-1]
    assert ended.stderr == (
        "onenter-deadlock-fix: warning: the shim will not be active in ./supervise itself: "
        f"Python started with -{letter} does not read what activates the shim (see its first line)\n"
    )


def test_pex_file_is_executed_with_a_warning(tmp_path: Path, command: Command) -> None:
    pex = tmp_path / "agent.pex"  # what makes a zip archive one is that file
    with zipfile.ZipFile(pex, "w") as archive:
        archive.writestr("PEX-INFO", "{}")
        archive.writestr("__main__.py", "print('alive')")
    ended = command("run", sys.executable, "agent.pex")
    assert (ended.returncode, ended.stdout) == (0, "alive\n")
    assert ended.stderr.startswith(
        "onenter-deadlock-fix: warning: the shim will not be active in agent.pex, which is a PEX "
    )
    assert ended.stderr.count("\n") == 1


def test_no_command_is_usage(command: Command) -> None:
    ended = command("run")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: onenter-deadlock-fix run")
