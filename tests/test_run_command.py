"""``onenter-deadlock-fix run`` executes a command, in its own place, with the shim active in every Python it starts."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import zipfile
from pathlib import Path

import pytest
from programs import Command, run, write_files, write_script

from onenter_deadlock_fix.cli.launch import BOOTSTRAP
from onenter_deadlock_fix.cli.obstacles import find_obstacle

# looking for the library is enough
ACTIVE = (
    "import importlib.util, sys; importlib.util.find_spec('livekit.agents'); "
    "print('onenter_deadlock_fix' in sys.modules)"
)
SHIM = f"{sys.executable} -m onenter_deadlock_fix"


def test_shim_is_active_in_the_command_and_in_its_children(command: Command) -> None:
    in_a_child = f"sys.stdout.flush(); subprocess.run([sys.executable, '-c', {ACTIVE!r}])"
    ended = command("run", sys.executable, "-c", f"import subprocess; {ACTIVE}; {in_a_child}")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("True\nTrue\n", "", 0)


def test_command_is_found_on_path_and_executed_in_place(tmp_path: Path) -> None:
    write_script(tmp_path / "agent", "#!/bin/sh\necho $$\nexit 7\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    ended = run(["sh", "-c", f"echo $$; exec {SHIM} run agent"], cwd=tmp_path, env={"PATH": path})
    process, process_of_the_command = ended.stdout.split()
    assert (process_of_the_command, ended.returncode) == (process, 7)  # so signals reach it


def error(message: str) -> str:
    return f"onenter-deadlock-fix: {message}\n"


@pytest.mark.parametrize(
    ("words", "env", "exit_code", "stdout", "stderr"),
    [
        # arguments reach the command as they are
        ("echo --help --det -x 'a b' -- start --", {}, 0, "--help --det -x a b -- start --\n", ""),
        ("-- echo -- x", {}, 0, "-- x\n", ""),
        # a script without a first line for it is executed as a shell does
        ("start 'a b' -c", {"PATH": "first:second:/bin"}, 0, "first: a b -c\n", ""),
        # the command gets the signals that run has got, and CPython ignores SIGPIPE
        ("bash -c 'yes | head -1; echo ${PIPESTATUS[0]}'", {}, 0, f"y\n{128 + signal.SIGPIPE}\n", ""),
        # the bootstrap folder comes first on PYTHONPATH, and once; an empty entry is the working directory
        ("sh -c 'echo $PYTHONPATH'", {}, 0, f"{BOOTSTRAP}\n", ""),
        ("sh -c 'echo $PYTHONPATH'", {"PYTHONPATH": "/a:relative"}, 0, f"{BOOTSTRAP}:/a:relative\n", ""),
        ("sh -c 'echo $PYTHONPATH'", {"PYTHONPATH": f"/a:{BOOTSTRAP}"}, 0, f"{BOOTSTRAP}:/a\n", ""),
        ("sh -c 'echo $PYTHONPATH'", {"PYTHONPATH": ":/a"}, 0, f"{BOOTSTRAP}::/a\n", ""),
        # detection is requested in the environment
        ("--detect resolve --detect-after 0.05 sh -c 'echo $ONENTER_DEADLOCK_FIX_DETECT_AFTER'", {}, 0, "0.05\n", ""),
        ("--detect ' Report' sh -c 'echo \"$ONENTER_DEADLOCK_FIX_DETECT\"'", {}, 0, " Report\n", ""),
        # .env.local is loaded, then .env; what is set stays
        ("sh -c 'echo $FIRST $SECOND'", {}, 0, ".env.local .env\n", ""),
        ("sh -c 'echo $FIRST $SECOND'", {"FIRST": "set"}, 0, "set .env\n", ""),
        # what can't be executed
        ("no-such-command", {}, 127, "", error("no-such-command: command not found")),
        ("''", {}, 127, "", error("'': command not found")),
        ("./text/agent", {}, 127, "", error("./text/agent: command not found")),
        ("./text", {}, 126, "", error("./text cannot be executed: Permission denied")),
        ("./folder", {}, 126, "", error("./folder cannot be executed: Permission denied")),
        ("./binary", {}, 126, "", error("./binary cannot be executed: Exec format error")),
    ],
)
def test_command(
    words: str, env: dict[str, str], exit_code: int, stdout: str, stderr: str, tmp_path: Path, command: Command
) -> None:
    environment_files = {".env": "FIRST='.env'\nSECOND=.env\n", ".env.local": "FIRST=.env.local\n"}
    write_files(tmp_path, {"folder/file": "", "text": "print()", **environment_files})
    scripts = {"first/start": 'echo "first: $*"\n', "second/start": "exit 1\n", "binary": "\x7fELF\0no program"}
    for path, source in scripts.items():
        write_script(tmp_path / path, source)
    ended = command("run", *shlex.split(words), env=env)
    assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, stdout, stderr)


def test_signal_that_run_was_started_to_ignore_is_ignored(tmp_path: Path) -> None:
    ended = run(["sh", "-c", f"trap '' HUP; exec {SHIM} run sh -c 'kill -HUP $$; echo alive'"], cwd=tmp_path)
    assert ended.stdout == "alive\n"


def test_unreadable_env_file_is_reported_and_the_command_is_executed(tmp_path: Path, command: Command) -> None:
    (tmp_path / ".env").write_bytes(b"NAME=\xff\xfe\n")
    ended = command("run", "echo", "executed")
    assert (ended.returncode, ended.stdout) == (0, "executed\n")
    assert ended.stderr.startswith("onenter-deadlock-fix: .env was not loaded: ")
    assert ended.stderr.count("\n") == 1
    assert command("path").stderr == ""  # no other command loads it


@pytest.mark.parametrize(
    ("option", "values", "error"),
    [
        ("", [""], "required: COMMAND"),
        ("--det {} echo", ["report"], "unrecognized arguments: --det"),  # no abbreviations
        ("--detect-after '{}' echo", ["0.049", "nan", "soon", ""], "'{}' is not a number of seconds of 0.05 or more"),
        ("--detect '{}' echo", ["maybe", ""], "'{}' is not a mode (off, report, resolve)"),
    ],
)
def test_wrong_usage(option: str, values: list[str], error: str, command: Command) -> None:
    for value in values:
        ended = command("run", *shlex.split(option.format(value)))
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("usage: onenter-deadlock-fix ")
        assert error.format(value) in ended.stderr


ENV = "env would remove the PYTHONPATH that activates the shim"
ELASTIC = "the sitecustomize of elasticapm-run would be found first, and it runs no other one"


def python_with(option: str) -> str:
    return f"Python started with {option} ignores PYTHONPATH or sitecustomize, which activate the shim"


@pytest.mark.parametrize(
    ("refused", "works", "reason"),
    [
        ("python -I agent.py start", "RUN python agent.py start", python_with("-I")),
        ("python3.11 -E -m agent -I", "RUN python3.11 -m agent -I", python_with("-E")),
        ("/srv/a/bin/python -S agent.py", "RUN /srv/a/bin/python agent.py", python_with("-S")),
        ("python -IS agent.py", "RUN python agent.py", python_with("-IS")),
        ("python -X dev -W error -Wd -I agent.py", "RUN python -X dev -W error -Wd agent.py", python_with("-I")),
        ("python --check-hash-based-pycs never -I -", "RUN python --check-hash-based-pycs never -", python_with("-I")),
        ("python -Ic pass", "RUN python -c pass", python_with("-I")),
        ("env A=1 python -I agent.py", "RUN env A=1 python agent.py", python_with("-I")),
        ("env -S 'python -I' agent.py", "RUN env python agent.py", python_with("-I")),
        ("uv run --python python3.11 -I agent.py", "RUN uv run --python python3.11 agent.py", python_with("-I")),
        ("nice -n 5 pypy3.10 -E agent.py", "RUN nice -n 5 pypy3.10 agent.py", python_with("-E")),
        *(
            (f"env {options} python -u -I agent.py", f"env {options} RUN python -u agent.py", ENV)
            for options in (
                *("-i", "A=1 -i=B PYTHONPATH=/a", "-", "-iv", "-vi", "-0i", "--ignore-environment", "--ignore-env"),
                *("-C / -i", "-- PYTHONPATH=", "-u PYTHONPATH", "-uPYTHONPATH", "-vuPYTHONPATH", "--uns=PYTHONPATH"),
                "--unset PYTHONPATH A=1",
            )
        ),
        ("env -S '-i A=1' agent", "env -i A=1 RUN agent", ENV),
        ("env --split='-u A -i' agent", "env -u A -i RUN agent", ENV),
        ("env -u PYTHONPATH nice python -I agent.py", "env -u PYTHONPATH RUN nice python agent.py", ENV),
        ("elasticapm-run my-agent", "elasticapm-run RUN my-agent", ELASTIC),
    ],
)
def test_obstacle_and_the_command_that_works(refused: str, works: str, reason: str) -> None:
    assert find_obstacle(shlex.split(refused), ["RUN"]) == (reason, works.split())


def test_obstacle_is_refused_with_a_command_that_works_without_path(tmp_path: Path, command: Command) -> None:
    refused = ["env", "-i", sys.executable, "-c", f"import os; {ACTIVE}; print(os.environ.get('PATH'))"]
    ended = command("run", "--detect", "report", *refused)
    assert (ended.returncode, ended.stdout) == (2, "")
    reason, advice = ended.stderr.splitlines()
    assert reason == f"onenter-deadlock-fix: {ENV}. This works:"
    works = run(["sh", "-c", advice], cwd=tmp_path)
    assert (works.stdout, works.stderr) == ("True\nNone\n", "")


@pytest.mark.parametrize(
    "words",
    [
        "python -suB -c pass -I",
        "python -Wignore::ImportWarning -c pass",
        "python -X I -c pass",
        "python -m this -I",
        "python -c pass python -I",
        "env -u A B=PYTHONPATH=1 python -c pass",
        "env -uA -Spython -c pass --ignore-environment",
        "echo -I --d --det --detect-after",
    ],
)
def test_command_that_only_looks_like_that_has_no_obstacle(words: str) -> None:
    assert find_obstacle(words.split(), ["RUN"]) is None


@pytest.mark.parametrize("line", ["#!{python} -I", "#!/usr/bin/env -S {python} -uE"])
def test_script_whose_first_line_keeps_its_python_from_the_shim_is_executed_with_a_warning(
    line: str, tmp_path: Path, command: Command
) -> None:
    in_a_child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {ACTIVE!r}])\n"
    write_script(tmp_path / "supervise", f"{line.format(python=sys.executable)}\n{in_a_child}")
    ended = command("run", "./supervise")
    assert (ended.returncode, ended.stdout) == (0, "True\n")
    assert ended.stderr == (
        "onenter-deadlock-fix: warning: the shim will not be active in ./supervise itself: "
        f"{python_with(f'-{line[-1]}')} (see its first line)\n"
    )


def test_pex_file_is_executed_with_a_warning(tmp_path: Path, command: Command) -> None:
    pex = tmp_path / "agent.pex"  # what makes a zip archive one is that file
    with zipfile.ZipFile(pex, "w") as archive:
        archive.writestr("PEX-INFO", "{}")
    ended = command("run", "echo", "agent.pex")
    assert (ended.returncode, ended.stdout) == (0, "agent.pex\n")
    warning = "onenter-deadlock-fix: warning: the shim will not be active in agent.pex, which is a PEX "
    assert ended.stderr.startswith(warning)
    assert ended.stderr.count("\n") == 1
