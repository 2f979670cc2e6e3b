"""``onenter-deadlock-fix verify`` shows what the shim fixes, and ``verify --resolve`` what detection does."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from programs import AlteredLibrary, Command, write_files
from test_status_command import describe

import onenter_deadlock_fix
from onenter_deadlock_fix.environment.examination import Environment
from onenter_deadlock_fix.verify.report import DETECTION, FIX
from onenter_deadlock_fix.verify.run import Run

CYCLE = """
    on_enter() of FrontDesk waits for the reply SPEECH
    the reply SPEECH waits for the tool collect_address
    the tool collect_address waits for the handoff to AddressTask
    the handoff to AddressTask waits for on_enter() of FrontDesk
"""
NESTED_CYCLE = """
    the tool collect_address waits for the handoff to AddressTask
    the handoff to AddressTask waits for the reply SPEECH
    the reply SPEECH waits for the tool arrange_call
    the tool arrange_call waits for the reply SPEECH
    the reply SPEECH waits for the tool collect_address
"""


def without_numbers(output: str) -> str:
    return re.sub(r"speech_\w+", "SPEECH", re.sub(r"\d+\.\d{3} s", "TIME", output))


def test_affected_release_hangs_without_the_shim_and_completes_with_it(command: Command) -> None:
    # a run ends when it is deadlocked, long before the time-out; the switch is for other programs
    ended = command("verify", "--timeout", "3600", env={"ONENTER_DEADLOCK_FIX": "off"})
    assert (ended.returncode, ended.stderr) == (0, "")
    without, with_shim = without_numbers(ended.stdout).split("With the shim:\n")
    assert f"with onenter-deadlock-fix {onenter_deadlock_fix.__version__}, livekit-agents 1.3.5, Python " in without
    assert "A dot is a second without a step." in without
    assert "Without the shim:\n" in without
    assert f"hung: nothing moved any more after TIME{CYCLE}" in without
    assert "completed in TIME\n" in with_shim
    assert "the tool returns alice@example.com\n" in with_shim
    verdict = "Fixed: on livekit-agents 1.3.5 the pattern completes with the shim, and without it it hangs."
    assert with_shim.splitlines()[-1] == verdict


def test_release_that_hangs_with_the_shim_too_is_not_fixed(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.3.6")  # says that it has the fix, and has it not
    ended = command("verify", "--timeout", "1", "--json", env=altered.env)
    assert (ended.returncode, ended.stderr) == (1, "")
    report = json.loads(ended.stdout)
    assert report["verdict"].startswith("NOT FIXED: on livekit-agents 1.3.6")
    assert [report[name]["outcome"] for name in ("without", "with")] == ["hung", "hung"]
    assert [f"    {without_numbers(wait)}" for wait in report["without"]["waits"]] == CYCLE.splitlines()[1:]


def test_run_that_breaks_off_is_no_verdict(altered: AlteredLibrary, command: Command) -> None:
    only_here = "import sys\nif 'onenter_deadlock_fix.verify' in sys.modules: raise RuntimeError('no LLM today')\n"
    altered.append(only_here, "llm/llm.py")
    ended = command("verify", env=altered.env)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert "could not be run: the process ended early: RuntimeError: no LLM today" in ended.stdout


def test_library_is_the_one_that_a_program_here_imports_and_another_environment_is_warned_of(
    altered: AlteredLibrary, tmp_path: Path, command: Command
) -> None:
    altered.set_version("1.3.5+acme.1")
    backport = "blocked_tasks=[current_task, old_activity._on_enter_task]"
    altered.replace("blocked_tasks=[current_task]", backport, "voice/agent.py")
    shutil.copytree(Path(onenter_deadlock_fix.__file__).parent, tmp_path / "site" / "onenter_deadlock_fix")
    AlteredLibrary(tmp_path / "site").set_version("1.1.7")  # beside the shim, as in site-packages
    write_files(tmp_path, {"livekit/__init__.py": "raise SystemExit('imported from the working directory')\n"})
    describe(tmp_path / ".venv" / "lib" / "python3.12" / "site-packages", "livekit-agents", "1.3.5")
    ended = command("verify", env={"PYTHONPATH": f"altered{os.pathsep}{tmp_path / 'site'}"})
    assert (ended.returncode, ended.stderr) == (3, "")
    assert f"\nwarning: this does not cover {tmp_path}/.venv, which has livekit-agents 1.3.5; " in ended.stdout
    assert f"\nlivekit-agents is imported from {tmp_path / 'altered' / 'livekit' / 'agents'}\n" in ended.stdout
    verdict = "Nothing to fix: the pattern completes on livekit-agents 1.3.5+acme.1"
    assert ended.stdout.splitlines()[-1].startswith(verdict)


def test_release_without_agent_task_cannot_be_verified(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.1.7")
    ended = command("verify", env=altered.env)
    assert (ended.returncode, ended.stdout) == (3, "")
    reason = "livekit-agents 1.1.7 is older than AgentTask, which came with 1.2.0"
    assert ended.stderr == f"onenter-deadlock-fix: verify cannot be run: {reason}\n"


def test_deadlock_that_no_release_fixes_is_reported_and_resolved(command: Command) -> None:
    switched_off = {"ONENTER_DEADLOCK_FIX_DETECT": "off", "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "3600"}
    ended = command("verify", "--resolve", "--timeout", "30", env=switched_off)
    assert (ended.returncode, ended.stderr) == (0, "")
    off, rest = without_numbers(ended.stdout).split("With ONENTER_DEADLOCK_FIX_DETECT=report:\n")
    report, resolve = rest.split("With ONENTER_DEADLOCK_FIX_DETECT=resolve:\n")
    error = "    | ERROR onenter_deadlock_fix - deadlock: the handoff to AddressTask waits for itself\n"
    warning = "    | WARNING onenter_deadlock_fix - the handoff to AddressTask no longer waits for the reply "
    seen = [
        (re.findall(r"(?m)^  (hung|completed)", output), error in output, warning in output)
        for output in (off, report, resolve)
    ]
    assert seen == [(["hung"], False, False), (["hung"], True, False), (["completed"], True, True)]
    assert set(off.splitlines()) >= set(NESTED_CYCLE.splitlines())
    assert ": self._address = await AddressTask(self._step)\n" in report
    verdict = "the handoff that waits for itself is reported, and is released where that is safe."
    assert resolve.splitlines()[-1] == f"Resolved: on livekit-agents 1.3.5 {verdict}"


@pytest.mark.parametrize(
    ("proof", "outcomes", "beginning"),
    [
        (FIX, "not run, completed", "Works: on livekit-agents 1.3.5 the pattern completes with the shim;"),
        (FIX, "completed, completed", "Nothing to fix: the pattern completes on livekit-agents 1.3.5"),
        (FIX, "hung, hung", "NOT FIXED: on livekit-agents 1.3.5"),
        (FIX, "hung, not run", "No verdict: "),
        (DETECTION, "hung, hung, completed", "Works: on livekit-agents 1.3.5 the handoff completes when resolved;"),
        (DETECTION, "completed, completed, completed", "Nothing to resolve: "),
        (DETECTION, "hung, hung, hung", "NOT RESOLVED: on livekit-agents 1.3.5"),
        (DETECTION, "hung, hung, not run", "No verdict: "),
    ],
)
def test_verdict(proof: Any, outcomes: str, beginning: str) -> None:
    names = ("without", "with") if proof is FIX else ("off", "report", "resolve")
    runs = {name: Run(outcome) for name, outcome in zip(names, outcomes.split(", "))}  # where nothing was logged
    environment = Environment(livekit_agents="1.3.5", state="patched")
    assert proof.verdict(environment, runs).startswith(beginning)
