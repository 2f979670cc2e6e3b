"""``onenter-deadlock-fix status`` tells an environment that is ready from a program that has the shim."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from programs import AlteredLibrary, Command, Forks, run, write_files, write_script

import onenter_deadlock_fix
from onenter_deadlock_fix.cli.launch import BOOTSTRAP
from onenter_deadlock_fix.cli.status import StatusReport, verdict_on
from onenter_deadlock_fix.environment.examination import PROBE, read_probe

DEADLOCK = "livekit-agents 1.3.5 has the on_enter deadlock of livekit/agents issue #4109"
PATCHED = f"{DEADLOCK}; the wrappers that fix it are installed"
BROKEN = "can't say: livekit-agents 1.3.5 does not import: {}; it needs beside it: 'openai<3'"
SESSION, TRACES = "voice/agent_session.py", "telemetry/traces.py"
SEALED = "AgentSession._update_activity.__signature__ = 'broken'"
NO_LOG_DATA = "raise ImportError('no\\nLogData')"
REPLACED = "voice.AgentSession._update_activity = lambda *_, **__: None"


@pytest.fixture
def command(command: Command) -> Command:
    """Run the command where no other environment is at hand than that of the tests."""
    alone = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PATH": "/usr/bin:/bin"}
    return lambda *arguments, env=None: command(*arguments, env={**alone, **(env or {})})


def test_ready_environment_is_not_called_active(command: Command) -> None:
    ended = command("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    ready, not_active, environment = ended.stdout.splitlines()
    assert ready == f"ready (patched where onenter_deadlock_fix is imported): {PATCHED}"
    assert not_active == (
        "NOT ACTIVE BY ITSELF: a program here has the deadlock unless it imports onenter_deadlock_fix or is started by "
        "onenter-deadlock-fix run (to check one: onenter-deadlock-fix status -- COMMAND)"
    )
    assert environment.startswith(f"environment: {sys.prefix} with onenter-deadlock-fix ")  # the rest: test_docs.py


def test_json_has_the_same_for_machines(command: Command) -> None:
    detection = {"ONENTER_DEADLOCK_FIX_DETECT": "resolve", "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "2"}
    ended = command("status", "--json", env=detection)
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert Path(report.pop("livekit_agents_path"), "voice").is_dir()
    assert report == {
        "verdict": "ready",
        "reason": PATCHED,
        "command": None,
        "ready": True,
        "active_by_itself": False,
        "state_with_shim": "patched",
        "state_reason": PATCHED,
        "detection": "resolve",
        "detect_after": 2.0,
        "environment": sys.prefix,
        "python": platform.python_version(),
        "onenter_deadlock_fix": onenter_deadlock_fix.__version__,
        "livekit_agents": "1.3.5",
        "wrapt": version("wrapt"),
        "warnings": [],
    }


@pytest.mark.parametrize(
    "env",
    [{"PYTHONPATH": BOOTSTRAP}, {"PYTHONPATH": "."}, {"AUTOWRAPT_BOOTSTRAP": "onenter_deadlock_fix"}],
    ids=["bootstrap folder", "sitecustomize", "autowrapt"],
)
def test_environment_whose_python_has_the_shim_by_itself(env: dict[str, str], tmp_path: Path, command: Command) -> None:
    (tmp_path / "sitecustomize.py").write_text("import onenter_deadlock_fix\n")
    ended = command("status", env=env)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[1].startswith("active by itself: ")


def status(forks: Forks, **env: str) -> tuple[int, str]:
    """Return the exit code and the first line of ``status`` where these variables are set; the probe runs in a fork."""
    environment = read_probe(forks.run(PROBE, cwd=Path(env["PYTHONPATH"]), env=env))
    report = StatusReport(environment, verdict_on(environment), environment.reason)
    return report.exit_code, report.in_words().splitlines()[0]


# a release, the value of ONENTER_DEADLOCK_FIX, a statement appended to a module, and what is reported
@pytest.mark.parametrize(
    ("release", "switch", "appended", "exit_code", "line"),
    [
        ("1.3.6", "on", None, 0, "not needed (fixed-upstream): livekit-agents 1.3.6 has upstream's fix"),
        ("1.1.7", "on", None, 0, "not needed (predates): livekit-agents 1.1.7 is older than AgentTask"),
        ("1.3.6", "off", None, 0, "not needed (off): switched off by ONENTER_DEADLOCK_FIX=off"),
        ("1.3.5", "off", None, 1, "NOT READY (off): switched off by ONENTER_DEADLOCK_FIX=off"),
        (
            "no version",
            "on",
            None,
            1,
            "NOT READY (unrecognised): not patched: its version is not valid by PEP 440: 'no version'",
        ),
        ("1.3.5", "on", (SEALED, SESSION), 1, "NOT READY (failed): not patched because of an error: TypeError"),
        ("1.3.5", "on", (NO_LOG_DATA, TRACES), 3, BROKEN.format("ImportError: no LogData")),
        ("1.3.5", "on", ("raise SystemExit(0)", TRACES), 3, BROKEN.format("SystemExit: 0")),
        ("1.3.5", "on", (REPLACED, "__init__.py"), 3, "can't say (unconfirmed): patched, but other code has replaced"),
    ],
)
def test_verdict_on_an_environment(
    release: str, switch: str, appended: Any, exit_code: int, line: str, altered: AlteredLibrary, forks: Forks
) -> None:
    altered.set_version(release)
    altered.append("import onenter_deadlock_fix", "version.py")  # so that it is patched before a method is replaced
    if appended:
        altered.append(*appended)
    describe(Path(altered.env["PYTHONPATH"]), "openai", "3.1")  # found before what is really installed
    code, first_line = status(forks, **altered.env, ONENTER_DEADLOCK_FIX=switch)
    assert (code, first_line[: len(line)]) == (exit_code, line)


def describe(folder: Path, name: str, release: str) -> None:
    """Have a folder say that a release is installed in it."""
    metadata = f"{name.replace('-', '_')}-{release.split()[0]}.dist-info/METADATA"
    write_files(folder, {metadata: f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n"})


def test_missing_library_is_reported(tmp_path: Path, forks: Forks) -> None:
    (tmp_path / "livekit.py").touch()  # found before the installed one: the same error as where none is installed
    line = "can't say: livekit-agents is not installed in this environment"
    assert status(forks, PYTHONPATH=str(tmp_path)) == (3, line)


def test_other_environment_is_warned_of_and_nothing_of_the_folder_is_executed(tmp_path: Path, command: Command) -> None:
    describe(tmp_path / ".venv" / "lib" / "python3.12" / "site-packages", "livekit-agents", "1.3.4; rm -rf ~")
    names = ("argparse", "json", "dotenv", "packaging", "wrapt", "logging", "livekit", "sitecustomize")
    write_files(tmp_path, {f"{name}.py": "import os; os._exit(9)\n" for name in names})
    (tmp_path / ".env").write_text("ONENTER_DEADLOCK_FIX=off\n")
    ended = command("status")
    assert (ended.returncode, ended.stderr) == (3, "")
    warning = (
        f"this does not cover {tmp_path}/.venv, which has a livekit-agents; to check it: "
        f"install onenter-deadlock-fix in it, and {tmp_path}/.venv/bin/onenter-deadlock-fix status"
    )
    cannot_say = "can't say which environment your programs use (see the warning); for this one: ready (patched where "
    assert ended.stdout.startswith(cannot_say)
    assert ended.stdout.endswith(f"\nwarning: {warning}\n")
    report = json.loads(command("status", "--json").stdout)
    assert (report["verdict"], report["ready"], report["warnings"]) == ("can't say", True, [warning])


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
    [
        ("path | true", 0, ""),
        ("path > /dev/full", 3, "onenter-deadlock-fix: [Errno 28] No space left on device\n"),
        ("path >&-", 0, ""),
        ("run 2>/dev/full no-such-command", 127, ""),
        ("run 2>/dev/full --no-such-option", 2, ""),
        ("run 2>&- ./agent", 5, ""),  # without the warning
    ],
)
def test_output_that_cannot_be_written(arguments: str, exit_code: int, error: str, tmp_path: Path) -> None:
    write_script(tmp_path / "agent", f"#!{sys.executable} -I\nraise SystemExit(5)\n")
    ended = run(["sh", "-c", f"{sys.executable} -m onenter_deadlock_fix {arguments}"], cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, "", error)


def test_name_that_is_not_utf_8_is_no_traceback_and_valid_json(tmp_path: Path, command: Command) -> None:
    copy = tmp_path / "not \udcff UTF-8"
    shutil.copytree(Path(onenter_deadlock_fix.__file__).parent, copy / "onenter_deadlock_fix")
    env = {"PYTHONPATH": str(copy), "PYTHONIOENCODING": "utf-8:strict"}
    ended = run([sys.executable, "-m", "onenter_deadlock_fix", "path"], cwd=tmp_path, env=env)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("onenter-deadlock-fix: 'utf-8' codec can't encode character")
    assert ended.stderr.count("\n") == 1

    ended = command("status", "--json", "no\udcffsuch")
    assert (ended.returncode, ended.stderr) == (3, "")
    json.loads(ended.stdout)["command"][0].encode()  # raises where it is no text


def test_name_that_the_encoding_of_the_output_does_not_have_is_escaped(tmp_path: Path) -> None:
    name = "n\N{LATIN SMALL LETTER O WITH DIAERESIS}"
    command = [sys.executable, "-m", "onenter_deadlock_fix", "status", name]
    ended = run(command, cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "can't say: 'n\\xf6': command not found\n", "")


NEEDED = "packaging is not installed in this environment, and onenter-deadlock-fix needs it"
NOT_LOADED = "python-dotenv is not installed, so .env.local and .env are not loaded"


@pytest.mark.parametrize(
    ("missing", "arguments", "exit_code", "error"),
    [("dotenv", ("run", "true"), 0, NOT_LOADED), ("packaging", ("status",), 3, NEEDED)],
)
def test_dependency_that_is_not_installed_is_reported(
    missing: str, arguments: tuple[str, ...], exit_code: int, error: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {f"path/{missing}.py": f"raise ModuleNotFoundError(name={missing!r})\n"})
    command = [sys.executable, "-m", "onenter_deadlock_fix", *arguments]
    ended = run(command, cwd=tmp_path, env={"PYTHONPATH": "path"})
    assert (ended.returncode, ended.stderr) == (exit_code, f"onenter-deadlock-fix: {error}\n")
