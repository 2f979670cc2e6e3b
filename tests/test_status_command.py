"""``onenter-deadlock-fix status`` tells an environment that is ready from a program that has the shim."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import AlteredLibrary, run

import onenter_deadlock_fix
from onenter_deadlock_fix.cli.launch import BOOTSTRAP

Command = Callable[..., Any]

PATCHED = "livekit-agents 1.3.5 has the on_enter deadlock of livekit/agents issue #4109; both wrappers are in place"
ENVIRONMENT = (
    f"environment: {sys.prefix} with onenter-deadlock-fix {onenter_deadlock_fix.__version__}, livekit-agents 1.3.5, "
    f"Python {platform.python_version()}, wrapt {version('wrapt')}; detection: off"
)


@pytest.fixture
def command(command: Command) -> Command:
    """Run the command where no other environment is at hand than that of the tests."""
    alone = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PATH": "/usr/bin:/bin"}
    return lambda *arguments, env=None: command(*arguments, env={**alone, **(env or {})})


def test_ready_environment_is_not_called_active(command: Command) -> None:
    ended = command("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"ready (patched where onenter_deadlock_fix is imported): {PATCHED}",
        "NOT ACTIVE BY ITSELF: a program here has the deadlock unless it imports onenter_deadlock_fix or is started by "
        "onenter-deadlock-fix run (to ask about one: onenter-deadlock-fix status -- COMMAND)",
        ENVIRONMENT,
    ]


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


@pytest.mark.parametrize(
    ("release", "switch", "verdict", "exit_code"),
    [
        ("1.3.6", "on", "not needed (fixed-upstream)", 0),
        ("1.1.7", "on", "not needed (predates)", 0),
        ("1.3.6", "off", "not needed (off)", 0),
        ("1.3.5", "off", "NOT READY (off)", 1),
        ("no version", "on", "NOT READY (unrecognised)", 1),
    ],
)
def test_exit_code_tells_whether_the_environment_is_ready(
    release: str, switch: str, verdict: str, exit_code: int, altered: AlteredLibrary, command: Command
) -> None:
    altered.set_version(release)
    ended = command("status", env={**altered.env, "ONENTER_DEADLOCK_FIX": switch})
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (exit_code, "", 2)
    assert ended.stdout.startswith(f"{verdict}: ")


def test_failed_patch_is_not_ready_and_gives_no_traceback(altered: AlteredLibrary, command: Command) -> None:
    altered.append("AgentSession._update_activity.__signature__ = 'broken'", "voice/agent_session.py")
    ended = command("status", env=altered.env)
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (1, "", 2)
    assert ended.stdout.startswith("NOT READY (failed): not patched because of an error: TypeError")


def test_method_that_other_code_has_replaced_is_not_vouched_for(altered: AlteredLibrary, command: Command) -> None:
    altered.append("voice.AgentSession._update_activity = lambda *_, **__: None", "__init__.py")
    ended = command("status", env={"PYTHONPATH": f"{BOOTSTRAP}:{altered.env['PYTHONPATH']}"})
    assert (ended.returncode, ended.stderr) == (3, "")
    assert ended.stdout.startswith("can't say (unconfirmed): patched, but other code has replaced a method since: ")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "raise ImportError('no\\nLogData')",
            "does not import: ImportError: no LogData; it needs beside it: 'openai<3'",
        ),
        ("raise SystemExit(0)", "does not import: SystemExit: 0; it needs beside it: 'openai<3'"),
    ],
)
def test_library_that_does_not_import_gets_its_reason_and_the_pins_that_are_not_met(
    statement: str, reason: str, altered: AlteredLibrary, command: Command
) -> None:
    altered.append(statement, "telemetry/traces.py")
    describe(Path(altered.env["PYTHONPATH"]), "openai", "3.1")  # found before what is really installed
    ended = command("status", env=altered.env)
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (3, "", 2)
    assert ended.stdout.startswith(f"can't say: livekit-agents 1.3.5 {reason}\n")


def describe(folder: Path, name: str, release: str) -> None:
    """Have a folder say that a release is installed in it."""
    metadata = folder / f"{name.replace('-', '_')}-{release.split()[0]}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")


@pytest.fixture
def without_library(tmp_path: Path) -> dict[str, str]:
    """A livekit without agents, found before the installed one: the same error as where none is installed."""
    (tmp_path / "shadow" / "livekit").mkdir(parents=True)
    (tmp_path / "shadow" / "livekit" / "__init__.py").touch()
    return {"PYTHONPATH": str(tmp_path / "shadow")}


def test_missing_library_is_reported(without_library: dict[str, str], command: Command) -> None:
    ended = command("status", env=without_library)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert ended.stdout.startswith("can't say: livekit-agents is not installed in this environment\n")


def test_other_environment_is_warned_of_and_nothing_of_the_folder_is_executed(tmp_path: Path, command: Command) -> None:
    describe(tmp_path / ".venv" / "lib" / "python3.12" / "site-packages", "livekit-agents", "1.3.4; rm -rf ~")
    for name in ("argparse", "json", "dotenv", "packaging", "wrapt", "logging", "livekit", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(9)\n")
    (tmp_path / ".env").write_text("ONENTER_DEADLOCK_FIX=off\n")
    ended = command("status")
    assert (ended.returncode, ended.stderr) == (3, "")
    first, *_, last = ended.stdout.splitlines()
    assert first == (
        "can't say which environment your programs use (see the warning); of this one: "
        f"ready (patched where onenter_deadlock_fix is imported): {PATCHED}"
    )
    warning = (
        f"this says nothing about {tmp_path}/.venv, which has a livekit-agents; to ask there: "
        f"install onenter-deadlock-fix in it, and {tmp_path}/.venv/bin/onenter-deadlock-fix status"
    )
    assert last == f"warning: {warning}"
    report = json.loads(command("status", "--json").stdout)
    assert (report["verdict"], report["ready"], report["warnings"]) == ("can't say", True, [warning])


def test_output_that_nobody_reads_or_that_cannot_be_written_is_no_traceback(tmp_path: Path) -> None:
    for shell, exit_code, error in [
        ("{} path | true", 0, ""),
        ("{} path > /dev/full", 3, "onenter-deadlock-fix: [Errno 28] No space left on device\n"),
        ("{} path >&-", 0, ""),
        ("{} run 2>&- no-such-command", 127, ""),
        ("{} run 2>/dev/full no-such-command", 127, ""),
        ("{} run 2>/dev/full --no-such-option", 2, ""),
    ]:
        ended = run(["sh", "-c", shell.format(f"{sys.executable} -m onenter_deadlock_fix")], cwd=tmp_path)
        assert (shell, ended.returncode, ended.stdout, ended.stderr) == (shell, exit_code, "", error)


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


def test_name_that_the_encoding_of_the_output_does_not_have_is_escaped(command: Command) -> None:
    ended = command("status", "n\N{LATIN SMALL LETTER O WITH DIAERESIS}", env={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "can't say: 'n\\xf6': command not found\n", "")


@pytest.mark.parametrize(
    ("missing", "arguments", "exit_code", "error"),
    [
        ("dotenv", ["run", "true"], 0, "python-dotenv is not installed, so .env.local and .env are not loaded"),
        (
            "packaging",
            ["status"],
            3,
            "packaging is not installed in this environment, and onenter-deadlock-fix needs it",
        ),
    ],
)
def test_dependency_that_is_not_installed_is_reported(
    missing: str, arguments: list[str], exit_code: int, error: str, python: Callable[..., Any]
) -> None:
    ended = python(
        f"""
        import sys
        class Without:
            def find_spec(self, name, path=None, target=None):
                if name == {missing!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        sys.meta_path.insert(0, Without())
        from onenter_deadlock_fix.cli.main import main
        sys.exit(main({arguments}))
        """
    )
    assert (ended.returncode, ended.stderr) == (exit_code, f"onenter-deadlock-fix: {error}\n")
