"""``onenter-deadlock-fix run`` executes a command, in its own place, with the shim active in every Python it starts."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import LIMIT, run

from onenter_deadlock_fix.cli.obstacles import find_obstacle

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
        output, _ = process.communicate(timeout=LIMIT)
    assert (output, process.returncode) == (f"{process.pid}\n", 7)


def test_script_without_a_first_line_for_it_is_executed_as_a_shell_does(tmp_path: Path, command: Command) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "start").write_text('echo "first: $*"\n')
    (tmp_path / "first" / "start").chmod(0o755)
    (tmp_path / "start").write_text("#!/bin/sh\necho second\n")
    (tmp_path / "start").chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "first"), str(tmp_path), os.environ["PATH"]])
    ended = command("run", "start", "a b", "-c", env={"PATH": path})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "first: a b -c\n", "")


def test_command_ignores_what_run_was_started_to_ignore_and_nothing_else(command: Command) -> None:
    ended = command("run", "bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}")
    assert ended.stdout == f"y\n{128 + signal.SIGPIPE}\n"
    run = f"trap '' HUP; exec {sys.executable} -m onenter_deadlock_fix run sh -c 'kill -HUP $$; echo alive'"
    assert subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=False).stdout == "alive\n"


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


@pytest.mark.parametrize("mode", ["resolve", "on", " Report"])
def test_detection_is_requested_in_the_environment_of_the_command(mode: str, command: Command) -> None:
    variables = 'echo "$ONENTER_DEADLOCK_FIX_DETECT $ONENTER_DEADLOCK_FIX_DETECT_AFTER"'
    ended = command("run", "--detect", mode, "--detect-after", "0.05", "sh", "-c", variables)
    assert ended.stdout == f"{mode} 0.05\n"


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        *(
            ("--detect-after", value, "is no number of seconds from 0.05 on")
            for value in ("0.049", "nan", "inf", "soon", "")
        ),
        ("--detect", "maybe", "is no mode (off, report, resolve)"),
        ("--detect", "", "is no mode (off, report, resolve)"),
    ],
)
def test_value_that_detection_would_not_take_is_usage(option: str, value: str, error: str, command: Command) -> None:
    ended = command("run", option, value, "echo")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith(f"error: argument {option}: {value!r} {error}\n")


def test_option_is_not_abbreviated(command: Command) -> None:
    assert command("run", "--det", "report", "echo").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
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
    arguments: list[str], exit_code: int, error: str, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "text").write_text("print()")
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\x7fELF\0no program")
    (tmp_path / "binary").chmod(0o755)
    ended = command("run", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, "", error)


# a command -> the option to name, and the command in the advice
@pytest.mark.parametrize(
    ("refused", "option", "works"),
    [
        ("python -I agent.py start", "-I", "RUN python agent.py start"),
        ("python3.11 -E -m agent -I", "-E", "RUN python3.11 -m agent -I"),
        ("/srv/a/bin/python -S agent.py", "-S", "RUN /srv/a/bin/python agent.py"),
        ("python -IS agent.py", "-IS", "RUN python agent.py"),
        ("python -usE agent.py", "-E", "RUN python -us agent.py"),
        ("python -X dev -W error -Wdefault -I agent.py", "-I", "RUN python -X dev -W error -Wdefault agent.py"),
        ("python --check-hash-based-pycs never -I agent.py", "-I", "RUN python --check-hash-based-pycs never agent.py"),
        ("python -Ic pass", "-I", "RUN python -c pass"),
        ("python -I -", "-I", "RUN python -"),
        ("env A=1 python -I agent.py", "-I", "RUN env A=1 python agent.py"),
        ("env -S 'python -I' agent.py", "-I", "RUN env python agent.py"),
        ("uv run --python python3.11 -I agent.py", "-I", "RUN uv run --python python3.11 agent.py"),
        ("nice -n 5 pypy3.10 -E agent.py", "-E", "RUN nice -n 5 pypy3.10 agent.py"),
    ],
)
def test_python_that_would_not_see_the_shim_is_an_obstacle(refused: str, option: str, works: str) -> None:
    reason = f"Python started with {option} does not read what activates the shim"
    assert find_obstacle(shlex.split(refused), ["RUN"]) == (reason, works.split())


@pytest.mark.parametrize(
    ("arguments", "works"),
    [
        *((arguments, f"{arguments} RUN") for arguments in ("-i", "A=1 -i=B PYTHONPATH=/a", "-", "-iv", "-vi", "-0i")),
        *(
            (arguments, f"{arguments} RUN")
            for arguments in ("--ignore-environment", "--ignore-env", "-C / -i", "-- PYTHONPATH=")
        ),
        *(
            (arguments, f"{arguments} RUN")
            for arguments in ("-u PYTHONPATH", "-uPYTHONPATH", "-vuPYTHONPATH", "--uns=PYTHONPATH")
        ),
        ("--unset PYTHONPATH A=1", "--unset PYTHONPATH A=1 RUN"),
        ("-S '-i A=1'", "-i A=1 RUN"),
        ("-vS '-u PYTHONPATH'", "-v -u PYTHONPATH RUN"),
        ("'-S-i A=1'", "-i A=1 RUN"),
        ("--split='-u A -i'", "-u A -i RUN"),
    ],
)
def test_env_that_takes_pythonpath_away_is_an_obstacle(arguments: str, works: str) -> None:
    obstacle = find_obstacle(["env", *shlex.split(arguments), "python", "-u", "-I", "agent.py"], ["RUN"])
    assert obstacle == (
        "env would take away the PYTHONPATH that activates the shim",
        ["env", *works.split(), "python", "-u", "agent.py"],
    )


@pytest.mark.parametrize(
    ("refused", "works"),
    [
        ("env -i my-agent start", "env -i RUN my-agent start"),
        ("env -u PYTHONPATH nice python -I agent.py", "env -u PYTHONPATH RUN nice python agent.py"),
        ("elasticapm-run my-agent", "elasticapm-run RUN my-agent"),
        ("env A=1 elasticapm-run python -E agent.py", "env A=1 elasticapm-run RUN python agent.py"),
    ],
)
def test_advice_has_run_where_nothing_takes_its_effect_away(refused: str, works: str) -> None:
    obstacle = find_obstacle(refused.split(), ["RUN"])
    assert obstacle
    assert obstacle.instead == works.split()


def test_obstacle_is_refused_with_a_command_that_works_without_path(command: Command) -> None:
    refused = ["env", "-i", sys.executable, "-c", f"import os; {ACTIVE}; print(os.environ.get('PATH'))"]
    ended = command("run", "--detect", "report", *refused)
    assert (ended.returncode, ended.stdout) == (2, "")
    reason, advice = ended.stderr.splitlines()
    assert reason == ("onenter-deadlock-fix: env would take away the PYTHONPATH that activates the shim. This works:")
    works = subprocess.run(["sh", "-c", advice], capture_output=True, text=True, check=False)
    assert (works.stdout, works.stderr) == ("True\nNone\n", "")


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
        "env -uA -S{python} -c pass --ignore-environment",
        "echo -I --d --det --detect-after",
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


def test_pex_file_is_executed_with_a_warning_and_an_odd_zip_file_without(tmp_path: Path, command: Command) -> None:
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

    content = pex.read_bytes()  # says that a newer zip is needed to read it, which is no BadZipFile
    pex.write_bytes(content.replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"))
    ended = command("run", "echo", "agent.pex")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "agent.pex\n", "")


def test_warning_that_cannot_be_written_does_not_keep_the_command_from_being_executed(tmp_path: Path) -> None:
    (tmp_path / "agent").write_text(f"#!{sys.executable} -I\nprint('alive')\n")
    (tmp_path / "agent").chmod(0o755)
    for redirection in ("2>/dev/full", "2>&-"):
        ended = run(["sh", "-c", f"{sys.executable} -m onenter_deadlock_fix run ./agent {redirection}"], cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (0, "alive\n")


def test_no_command_is_usage(command: Command) -> None:
    ended = command("run")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: onenter-deadlock-fix run")
