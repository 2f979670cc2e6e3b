"""``onenter-deadlock-fix status`` says in one line, or one object, whether this environment is safe, and why."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import AlteredLibrary, run

Command = Callable[..., Any]


def test_patched_release_is_safe(command: Command) -> None:
    ended = command("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("patched: livekit-agents 1.3.5 has the on_enter deadlock")
    assert ended.stdout.endswith(
        f"(livekit-agents 1.3.5, Python {platform.python_version()}, wrapt {version('wrapt')})\n"
    )
    assert ended.stdout.count("\n") == 1


def test_json_has_the_same_for_machines(command: Command) -> None:
    ended = command("status", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert told.pop("reason").startswith("livekit-agents 1.3.5 has the on_enter deadlock")
    assert told == {
        "state": "patched",
        "detection": "off",
        "livekit_agents": "1.3.5",
        "python": platform.python_version(),
        "wrapt": version("wrapt"),
    }


@pytest.mark.parametrize(
    ("release", "switch", "state", "exit_code"),
    [
        ("1.3.6", "on", "fixed-upstream", 0),
        ("1.1.7", "on", "predates", 0),
        ("1.3.6", "off", "off", 0),
        ("1.3.5", "off", "off", 1),
        ("no version", "on", "unrecognised", 1),
    ],
)
def test_exit_code_tells_whether_the_environment_is_safe(
    release: str, switch: str, state: str, exit_code: int, altered: AlteredLibrary, command: Command
) -> None:
    altered.set_version(release)
    ended = command("status", "--json", env={**altered.env, "ONENTER_DEADLOCK_FIX": switch})
    assert (json.loads(ended.stdout)["state"], ended.returncode, ended.stderr) == (state, exit_code, "")


def test_failed_patch_is_not_safe_and_gives_no_traceback(altered: AlteredLibrary, command: Command) -> None:
    altered.append("AgentSession._update_activity.__signature__ = 'broken'", "voice/agent_session.py")
    ended = command("status", env=altered.env)
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (1, "", 1)
    assert ended.stdout.startswith("failed: not patched because of an error: TypeError")


IMPORT_ERROR = "cannot import name 'LogData' from 'opentelemetry.sdk._logs'"


def test_library_that_does_not_import_gets_its_reason_and_the_pins_in_one_line(
    altered: AlteredLibrary, command: Command
) -> None:
    altered.append(f'raise ImportError("{IMPORT_ERROR}")', "telemetry/traces.py")
    ended = command("status", env=altered.env)
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (2, "", 1)
    assert IMPORT_ERROR in ended.stdout
    assert "'opentelemetry-exporter-otlp<1.39' 'openai<3'" in ended.stdout


def test_missing_library_is_said_in_one_line(tmp_path: Path, command: Command) -> None:
    # a livekit without agents, found before the installed one: the same error as where none is installed
    (tmp_path / "shadow" / "livekit").mkdir(parents=True)
    (tmp_path / "shadow" / "livekit" / "__init__.py").touch()
    ended = command("status", "--json", env={"PYTHONPATH": str(tmp_path / "shadow")})
    assert (ended.returncode, ended.stderr) == (2, "")
    told = json.loads(ended.stdout)
    assert (told["state"], told["reason"]) == ("pending", "livekit-agents is not installed in this environment")


def test_unknown_value_of_the_switch_is_said(command: Command) -> None:
    ended = command("status", env={"ONENTER_DEADLOCK_FIX": "disabled"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ONENTER_DEADLOCK_FIX=disabled is no known value and means on" in ended.stdout


def test_output_that_nobody_reads_or_that_cannot_be_written_is_no_traceback(tmp_path: Path) -> None:
    for shell, exit_code, said in [
        ("{} path | true", 0, ""),
        ("{} path > /dev/full", 2, "onenter-deadlock-fix: [Errno 28] No space left on device\n"),
    ]:
        ended = run(["sh", "-c", shell.format(f"{sys.executable} -m onenter_deadlock_fix")], cwd=tmp_path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, "", said)


@pytest.mark.parametrize(
    ("missing", "exit_code", "said"),
    [
        ("dotenv", 0, "python-dotenv is not installed, so .env.local and .env are not loaded"),
        ("packaging", 2, "packaging is not installed in this environment, and onenter-deadlock-fix needs it"),
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
        from onenter_deadlock_fix._cli import main
        sys.exit(main(["status"]))
        """
    )
    assert (ended.returncode, ended.stderr) == (exit_code, f"onenter-deadlock-fix: {said}\n")
