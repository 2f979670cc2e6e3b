"""``onenter-deadlock-fix verify`` plays the pattern without the shim and with it, and says what happened.

``verify --resolve`` plays a deadlock that no release fixes: without detection, reported, and resolved.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import AlteredLibrary
from test_status_command import describe

import onenter_deadlock_fix
from onenter_deadlock_fix.environment.examination import Environment
from onenter_deadlock_fix.verify.report import DETECTION, FIX
from onenter_deadlock_fix.verify.run import Run

Command = Callable[..., Any]

CYCLE = [
    "on_enter() of FrontDesk waits for the reply SPEECH",
    "the reply SPEECH waits for the tool collect_address",
    "the tool collect_address waits for the handoff to AddressTask",
    "the handoff to AddressTask waits for on_enter() of FrontDesk",
]

NESTED_CYCLE = [
    "the tool collect_address waits for the handoff to AddressTask",
    "the handoff to AddressTask waits for the reply SPEECH",
    "the reply SPEECH waits for the tool arrange_call",
    "the tool arrange_call waits for the reply SPEECH",
    "the reply SPEECH waits for the tool collect_address",
]
ENVIRONMENT = Environment(livekit_agents="1.3.5", state="patched")


def test_affected_release_hangs_without_the_shim_and_completes_with_it(command: Command) -> None:
    ended = command("verify", "--timeout", "3600")  # a run ends when it is deadlocked
    assert (ended.returncode, ended.stderr) == (0, "")
    output = re.sub(r"speech_\w+", "SPEECH", re.sub(r"\d+\.\d{3} s", "TIME", ended.stdout))
    without, with_shim = output.split("With the shim:\n")
    assert f"with onenter-deadlock-fix {onenter_deadlock_fix.__version__}, livekit-agents 1.3.5, Python " in without
    assert "A dot is a second without a step." in without
    assert "Without the shim:\n" in without
    assert "hung: nothing moved any more after TIME\n" + "".join(f"    {line}\n" for line in CYCLE) in without
    assert "completed in TIME\n" in with_shim
    assert "the tool returns alice@example.com\n" in with_shim
    assert output.splitlines()[-1] == (
        "Fixed: on livekit-agents 1.3.5 the pattern completes with the shim, and without it it hangs."
    )


def test_switch_in_the_environment_does_not_keep_the_shim_from_being_verified(command: Command) -> None:
    ended = command("verify", "--json", env={"ONENTER_DEADLOCK_FIX": "off"})
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert (report["livekit_agents"], report["without"]["outcome"], report["with"]["outcome"]) == (
        "1.3.5",
        "hung",
        "completed",
    )
    assert [re.sub(r"speech_\w+", "SPEECH", wait) for wait in report["without"]["waits"]] == CYCLE


def test_pattern_that_hangs_with_the_shim_too_is_a_failure(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.3.6")  # says that it has the fix, and has it not
    ended = command("verify", "--timeout", "1", env=altered.env)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].startswith("NOT FIXED: on livekit-agents 1.3.6")


def test_run_that_breaks_off_is_no_verdict(altered: AlteredLibrary, command: Command) -> None:
    altered.append("raise RuntimeError('no LLM today')", "llm/llm.py")
    altered.replace(
        "raise RuntimeError",
        "import sys\nif 'onenter_deadlock_fix.verify' in sys.modules: raise RuntimeError",
        "llm/llm.py",
    )
    ended = command("verify", env=altered.env)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert "could not be run: the process ended early: RuntimeError: no LLM today" in ended.stdout


def test_library_is_the_one_that_a_program_here_imports_and_another_environment_is_warned_of(
    altered: AlteredLibrary, tmp_path: Path, command: Command
) -> None:
    altered.set_version("1.3.5+acme.1")
    altered.replace(
        "blocked_tasks=[current_task]", "blocked_tasks=[current_task, old_activity._on_enter_task]", "voice/agent.py"
    )
    shutil.copytree(Path(onenter_deadlock_fix.__file__).parent, tmp_path / "site" / "onenter_deadlock_fix")
    AlteredLibrary(tmp_path / "site").set_version("1.1.7")  # beside the shim, as in site-packages
    (tmp_path / "livekit").mkdir()
    (tmp_path / "livekit" / "__init__.py").write_text("raise SystemExit('imported from the working directory')\n")
    describe(tmp_path / ".venv" / "lib" / "python3.12" / "site-packages", "livekit-agents", "1.3.5")
    ended = command("verify", env={"PYTHONPATH": f"altered{os.pathsep}{tmp_path / 'site'}"})
    assert (ended.returncode, ended.stderr) == (3, "")
    assert f"\nwarning: this says nothing about {tmp_path}/.venv, which has livekit-agents 1.3.5; " in ended.stdout
    assert f"\nlivekit-agents is imported from {tmp_path / 'altered' / 'livekit' / 'agents'}\n" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith(
        "Nothing to fix: the pattern completes on livekit-agents 1.3.5+acme.1"
    )


def test_release_without_agent_task_cannot_be_verified(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.1.7")
    ended = command("verify", env=altered.env)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        "onenter-deadlock-fix: verify cannot be run: livekit-agents 1.1.7 is older than AgentTask, "
        "which came with 1.2.0\n"
    )


def test_deadlock_that_no_release_fixes_is_reported_and_resolved(command: Command) -> None:
    switched_off = {"ONENTER_DEADLOCK_FIX_DETECT": "off", "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "3600"}
    ended = command("verify", "--resolve", "--timeout", "30", env=switched_off)
    assert (ended.returncode, ended.stderr) == (0, "")
    off, rest = ended.stdout.split("With ONENTER_DEADLOCK_FIX_DETECT=report:\n")
    report, resolve = rest.split("With ONENTER_DEADLOCK_FIX_DETECT=resolve:\n")
    error = "    | ERROR onenter_deadlock_fix - deadlock: the handoff to AddressTask waits for itself\n"
    warning = "    | WARNING onenter_deadlock_fix - the handoff to AddressTask no longer waits for the reply "
    assert [error in output for output in (off, report, resolve)] == [False, True, True]
    assert [warning in output for output in (off, report, resolve)] == [False, False, True]
    endings = [re.findall(r"(?m)^  (hung|completed)", output) for output in (off, report, resolve)]
    assert endings == [["hung"], ["hung"], ["completed"]]
    assert set(re.sub(r"speech_\w+", "SPEECH", off).splitlines()) >= {f"    {wait}" for wait in NESTED_CYCLE}
    assert ": self._address = await AddressTask(self._step)\n" in report
    assert ended.stdout.splitlines()[-1] == (
        "Resolved: on livekit-agents 1.3.5 the handoff that waits for itself is reported, "
        "and is released where that is safe."
    )


@pytest.mark.parametrize(
    ("without", "with_shim", "beginning"),
    [
        ("not run", "completed", "Works: on livekit-agents 1.3.5 the pattern completes with the shim;"),
        ("completed", "completed", "Nothing to fix: the pattern completes on livekit-agents 1.3.5"),
        ("hung", "hung", "NOT FIXED: on livekit-agents 1.3.5"),
        ("hung", "not run", "No verdict: "),
    ],
)
def test_verdict_on_the_fix(without: str, with_shim: str, beginning: str) -> None:
    assert FIX.verdict(ENVIRONMENT, {"without": Run(without), "with": Run(with_shim)}).startswith(beginning)


@pytest.mark.parametrize(
    ("off", "report", "resolve", "beginning"),
    [
        ("hung", "hung", "completed", "Works: on livekit-agents 1.3.5 the handoff completes when resolved;"),
        ("completed", "completed", "completed", "Nothing to resolve: "),
        ("hung", "hung", "hung", "NOT RESOLVED: on livekit-agents 1.3.5"),
        ("hung", "hung", "not run", "No verdict: "),
    ],
)
def test_verdict_on_detection(off: str, report: str, resolve: str, beginning: str) -> None:
    runs = {"off": Run(off), "report": Run(report), "resolve": Run(resolve)}  # where nothing was logged
    assert DETECTION.verdict(ENVIRONMENT, runs).startswith(beginning)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_time_out_must_be_a_number_of_seconds(seconds: str, command: Command) -> None:
    ended = command("verify", f"--timeout={seconds}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{seconds!r} is no number of seconds" in ended.stderr
    assert "Traceback" not in ended.stderr
