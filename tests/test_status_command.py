"""``onenter-deadlock-fix status`` says in one line, or one object, whether this environment is safe, and why."""

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

Command = Callable[..., Any]


PATCHED = "livekit-agents 1.3.5 has the on_enter deadlock of livekit/agents issue #4109; both wrappers are in place"


@pytest.fixture
def command(command: Command) -> Command:
    """Run the command where no other environment is at hand than that of the tests."""
    return lambda *arguments, env=None: command(*arguments, env={"VIRTUAL_ENV": "", "CONDA_PREFIX": "", **(env or {})})


def test_patched_release_is_safe_and_the_environment_is_named(command: Command) -> None:
    ended = command("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        f"safe with the shim (patched), in {sys.prefix}: {PATCHED}; detection: off "
        f"(Python {platform.python_version()}, wrapt {version('wrapt')})\n"
    )


def test_json_has_the_same_for_machines(command: Command) -> None:
    ended = command(
        "status", "--json", env={"ONENTER_DEADLOCK_FIX_DETECT": "resolve", "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "2"}
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {
        "state": "patched",
        "livekit_agents": "1.3.5",
        "reason": PATCHED,
        "detection": "resolve",
        "handoffs": 0,
        "detect_after": 2.0,
        "environment": sys.prefix,
        "python": platform.python_version(),
        "wrapt": version("wrapt"),
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("release", "switch", "verdict", "exit_code"),
    [
        ("1.3.6", "on", "safe without the shim (fixed-upstream)", 0),
        ("1.1.7", "on", "safe without the shim (predates)", 0),
        ("1.3.6", "off", "safe without the shim (off)", 0),
        ("1.3.5", "off", "NOT SAFE (off)", 1),
        ("no version", "on", "NOT SAFE (unrecognised)", 1),
    ],
)
def test_exit_code_tells_whether_the_environment_is_safe(
    release: str, switch: str, verdict: str, exit_code: int, altered: AlteredLibrary, command: Command
) -> None:
    altered.set_version(release)
    ended = command("status", env={**altered.env, "ONENTER_DEADLOCK_FIX": switch})
    assert (ended.returncode, ended.stderr) == (exit_code, "")
    assert ended.stdout.startswith(f"{verdict}, in ")


def test_failed_patch_is_not_safe_and_gives_no_traceback(altered: AlteredLibrary, command: Command) -> None:
    altered.append("AgentSession._update_activity.__signature__ = 'broken'", "voice/agent_session.py")
    ended = command("status", env=altered.env)
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (1, "", 1)
    assert "NOT SAFE (failed), in " in ended.stdout
    assert ": not patched because of an error: TypeError" in ended.stdout


IMPORT_ERROR = "cannot import name 'LogData' from 'opentelemetry.sdk._logs'"


def test_library_that_does_not_import_gets_its_reason_in_one_line_and_no_advice_that_is_followed(
    altered: AlteredLibrary, command: Command
) -> None:
    altered.append(f'raise ImportError("{IMPORT_ERROR}")', "telemetry/traces.py")
    ended = command("status", env=altered.env)
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (3, "", 1)
    assert ended.stdout.startswith("can't say (pending), in ")
    assert f"livekit-agents 1.3.5 does not import: ImportError: {IMPORT_ERROR}; detection: off" in ended.stdout


@pytest.mark.parametrize(
    ("installed", "advice"),
    [
        ({"openai": "3.0.0"}, "; it needs beside it: 'openai<3'; "),
        ({"opentelemetry-exporter-otlp": "1.39.0"}, "; it needs beside it: 'opentelemetry-exporter-otlp<1.39'; "),
        ({"openai": "3.1", "opentelemetry-exporter-otlp": "1.40"}, "'opentelemetry-exporter-otlp<1.39' 'openai<3'; "),
    ],
)
def test_advice_names_the_pins_that_are_not_met(
    installed: dict[str, str], advice: str, altered: AlteredLibrary, command: Command
) -> None:
    altered.append(f'raise ImportError("{IMPORT_ERROR}")', "telemetry/traces.py")
    for name, release in installed.items():  # found before what is really installed
        describe(Path(altered.env["PYTHONPATH"]), name, release)
    assert advice in command("status", env=altered.env).stdout


def describe(folder: Path, name: str, release: str) -> None:
    """Have a folder say that a release is installed in it."""
    metadata = folder / f"{name.replace('-', '_')}-{release}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")


def test_library_that_ends_the_process_is_no_answer(altered: AlteredLibrary, command: Command) -> None:
    altered.append("raise SystemExit(0)", "telemetry/traces.py")
    ended = command("status", env=altered.env)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert "livekit-agents 1.3.5 does not import: SystemExit: 0" in ended.stdout


@pytest.fixture
def without_library(tmp_path: Path) -> dict[str, str]:
    """A livekit without agents, found before the installed one: the same error as where none is installed."""
    (tmp_path / "shadow" / "livekit").mkdir(parents=True)
    (tmp_path / "shadow" / "livekit" / "__init__.py").touch()
    return {"PYTHONPATH": str(tmp_path / "shadow")}


def test_missing_library_is_said_in_one_line(without_library: dict[str, str], command: Command) -> None:
    ended = command("status", env=without_library)
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (3, "", 1)
    assert ended.stdout.startswith(
        f"can't say (pending), in {sys.prefix}: livekit-agents is not installed in this environment; "
    )


@pytest.mark.parametrize("variable", [None, "VIRTUAL_ENV", "CONDA_PREFIX"])
def test_other_environment_that_may_be_meant_is_warned_of(
    variable: str | None, without_library: dict[str, str], tmp_path: Path, command: Command
) -> None:
    other = tmp_path / (".venv" if variable is None else "other environment")
    packages = other / "lib" / "python3.12" / "site-packages"
    describe(packages, "livekit-agents", "1.3.4")
    (other / "bin").mkdir()
    (other / "bin" / "python").touch()
    env = {**without_library, **({} if variable is None else {variable: str(other)})}
    ended = command("status", env=env)
    assert (ended.returncode, ended.stderr) == (3, "")
    ask = f"{other}/bin/python -m onenter_deadlock_fix status"
    warning = f"this says nothing about {other}, which has livekit-agents 1.3.4; to ask there: "
    install = "install onenter-deadlock-fix there, and "
    assert ended.stdout.splitlines()[1:] == [f"warning: {warning}{install}{ask}"]
    assert json.loads(command("status", "--json", env=env).stdout)["warnings"] == [f"{warning}{install}{ask}"]

    describe(packages, "onenter-deadlock-fix", "0.1.0")
    assert command("status", env=env).stdout.splitlines()[1:] == [f"warning: {warning}{ask}"]


def test_environment_without_the_library_and_this_one_by_another_name_are_not_warned_of(
    without_library: dict[str, str], tmp_path: Path, command: Command
) -> None:
    (tmp_path / ".venv" / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    (tmp_path / "active").symlink_to(sys.prefix)
    ended = command(
        "status", env={**without_library, "VIRTUAL_ENV": str(tmp_path / "active"), "CONDA_PREFIX": "/no/such"}
    )
    assert ended.stdout.count("\n") == 1


def test_unknown_value_of_the_switch_is_said(command: Command) -> None:
    ended = command("status", env={"ONENTER_DEADLOCK_FIX": "disabled"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ONENTER_DEADLOCK_FIX=disabled is no known value and means on" in ended.stdout


def test_output_that_nobody_reads_or_that_cannot_be_written_is_no_traceback(tmp_path: Path) -> None:
    for shell, exit_code, said in [
        ("{} path | true", 0, ""),
        ("{} path > /dev/full", 3, "onenter-deadlock-fix: [Errno 28] No space left on device\n"),
        ("{} path >&-", 0, ""),
        ("{} run 2>&- no-such-command", 127, ""),
    ]:
        ended = run(["sh", "-c", shell.format(f"{sys.executable} -m onenter_deadlock_fix")], cwd=tmp_path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, "", said)


def test_path_that_cannot_be_shown_is_no_traceback(tmp_path: Path) -> None:
    copy = tmp_path / "not \udcff UTF-8"
    shutil.copytree(Path(onenter_deadlock_fix.__file__).parent, copy / "onenter_deadlock_fix")
    env = {"PYTHONPATH": str(copy), "PYTHONIOENCODING": "utf-8:strict"}
    ended = run([sys.executable, "-m", "onenter_deadlock_fix", "path"], cwd=tmp_path, env=env)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("onenter-deadlock-fix: 'utf-8' codec can't encode character")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("missing", "exit_code", "said"),
    [
        ("dotenv", 0, "python-dotenv is not installed, so .env.local and .env are not loaded"),
        ("packaging", 3, "packaging is not installed in this environment, and onenter-deadlock-fix needs it"),
    ],
)
def test_dependency_that_is_not_installed_is_said(
    missing: str, exit_code: int, said: str, python: Callable[..., Any]
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
        sys.exit(main(["status"]))
        """
    )
    assert (ended.returncode, ended.stderr) == (exit_code, f"onenter-deadlock-fix: {said}\n")
