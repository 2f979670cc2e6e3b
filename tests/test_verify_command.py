"""``onenter-deadlock-fix verify`` plays the pattern without the shim and with it, and says what happened.

``verify --resolve`` plays a deadlock that no release is cured of: without detection, reported, and resolved.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import AlteredLibrary

Command = Callable[..., Any]

CYCLE = [
    "on_enter() of FrontDesk waits for the reply SPEECH",
    "the reply SPEECH waits for the tool collect_address",
    "the tool collect_address waits for the handoff to AddressTask",
    "the handoff to AddressTask waits for on_enter() of FrontDesk",
]

NESTED_CYCLE = {
    "the tool collect_address waits for the handoff to AddressTask",
    "the handoff to AddressTask waits for the reply FIRST",
    "the reply FIRST waits for the tool arrange_call",
    "the tool arrange_call waits for the reply SECOND",
    "the reply SECOND waits for the tool collect_address",
}


def test_affected_release_hangs_without_the_shim_and_completes_with_it(command: Command) -> None:
    ended = command("verify", "--timeout", "3")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = re.sub(r"speech_\w+", "SPEECH", re.sub(r"\d+\.\d{3} s", "TIME", ended.stdout))
    without, with_shim = told.split("With the shim:\n")
    assert "Without the shim:\n" in without
    assert "hung: nothing moved any more after TIME\n" + "".join(f"    {line}\n" for line in CYCLE) in without
    assert "completed in TIME\n" in with_shim
    assert "the tool returns alice@example.com\n" in with_shim
    assert told.splitlines()[-1] == (
        "Fixed: on livekit-agents 1.3.5 the pattern completes with the shim, and without it it hangs."
    )


def test_switch_in_the_environment_does_not_keep_the_shim_from_being_verified(command: Command) -> None:
    ended = command("verify", "--timeout", "1", "--json", env={"ONENTER_DEADLOCK_FIX": "off"})
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert (told["livekit_agents"], told["without"]["outcome"], told["with"]["outcome"]) == (
        "1.3.5",
        "hung",
        "completed",
    )
    assert [re.sub(r"speech_\w+", "SPEECH", wait) for wait in told["without"]["waits"]] == CYCLE


def test_release_with_the_fix_needs_nothing(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.3.6")
    altered.replace(
        "blocked_tasks=[current_task]", "blocked_tasks=[current_task, old_activity._on_enter_task]", "voice/agent.py"
    )
    ended = command("verify", env=altered.env)
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1].startswith("Nothing to fix: the pattern completes on livekit-agents 1.3.6")


def test_pattern_that_hangs_with_the_shim_too_is_a_failure(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.3.6")  # says that it has the fix, and has it not
    ended = command("verify", "--timeout", "1", env=altered.env)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].startswith("NOT FIXED: on livekit-agents 1.3.6")


def test_run_that_breaks_off_is_no_verdict(altered: AlteredLibrary, command: Command) -> None:
    altered.append("raise RuntimeError('no LLM today')", "llm/llm.py")
    altered.replace(
        "raise RuntimeError", "import sys\nif sys.argv[0].endswith('play.py'): raise RuntimeError", "llm/llm.py"
    )
    ended = command("verify", env=altered.env)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert "could not be run: the process ended early: RuntimeError: no LLM today" in ended.stdout


def test_run_without_the_shim_that_breaks_off_proves_nothing(tmp_path: Path, command: Command) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nif os.environ['ONENTER_DEADLOCK_FIX'] == 'off': os._exit(3)\n"
    )
    ended = command("verify", env={"PYTHONPATH": str(tmp_path), "ONENTER_DEADLOCK_FIX": "on"})
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1].startswith(
        "Works: on livekit-agents 1.3.5 the pattern completes with the shim;"
    )


def test_relative_entries_of_pythonpath_are_the_users(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.3.5+acme.1")
    altered.replace(
        "blocked_tasks=[current_task]", "blocked_tasks=[current_task, old_activity._on_enter_task]", "voice/agent.py"
    )
    ended = command("verify", env={"PYTHONPATH": "altered"})
    assert ended.returncode == 0
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


def test_deadlock_that_no_release_is_cured_of_is_reported_and_resolved(command: Command) -> None:
    ended = command("verify", "--resolve", "--timeout", "3")
    assert (ended.returncode, ended.stderr) == (0, "")
    off, rest = ended.stdout.split("With ONENTER_DEADLOCK_FIX_DETECT=report:\n")
    report, resolve = rest.split("With ONENTER_DEADLOCK_FIX_DETECT=resolve:\n")
    error = "    | ERROR onenter_deadlock_fix - deadlock: the handoff to AddressTask waits for itself\n"
    warning = "    | WARNING onenter_deadlock_fix - the handoff to AddressTask no longer waits for the reply "
    assert [error in told for told in (off, report, resolve)] == [False, True, True]
    assert [warning in told for told in (off, report, resolve)] == [False, False, True]
    assert [re.search(r"^  (hung|completed)", told, re.M)[1] for told in (off, report, resolve)] == [  # type: ignore[index]
        "hung",
        "hung",
        "completed",
    ]
    assert ": self._address = await AddressTask(self._step)\n" in report
    assert ended.stdout.splitlines()[-1] == (
        "Resolved: on livekit-agents 1.3.5 the handoff that waits for itself is reported, "
        "and goes on where it may be let go."
    )


def test_resolving_is_verified_whatever_the_environment_says_of_it(command: Command) -> None:
    switched_off = {"ONENTER_DEADLOCK_FIX_DETECT": "off", "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "3600"}
    ended = command("verify", "--resolve", "--timeout", "3", "--json", env=switched_off)
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert [told[mode]["outcome"] for mode in ("off", "report", "resolve")] == ["hung", "hung", "completed"]
    assert [len(told[mode]["log"]) for mode in ("off", "report", "resolve")] == [0, 1, 2]
    waits = " / ".join(told["off"]["waits"])
    first = re.search(r"handoff to AddressTask waits for the reply (\w+)", waits)
    second = re.search(r"the tool arrange_call waits for the reply (\w+)", waits)
    assert first
    assert second
    named = waits.replace(first[1], "FIRST").replace(second[1], "SECOND")
    assert set(named.split(" / ")) == NESTED_CYCLE


def test_library_that_detection_does_not_recognise_is_not_resolved(altered: AlteredLibrary, command: Command) -> None:
    altered.replace("_drain_blocked_tasks", "_ignored_tasks", "voice/agent_activity.py")
    ended = command("verify", "--resolve", "--timeout", "1", env=altered.env)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].endswith("does not complete with detection either.")


def test_resolving_cannot_be_verified_where_nothing_can_be_played(altered: AlteredLibrary, command: Command) -> None:
    altered.set_version("1.1.7")
    ended = command("verify", "--resolve", env=altered.env)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "verify cannot be run: livekit-agents 1.1.7 is older than AgentTask" in ended.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_time_out_must_be_a_number_of_seconds(seconds: str, command: Command) -> None:
    ended = command("verify", f"--timeout={seconds}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{seconds!r} is no number of seconds" in ended.stderr
    assert "Traceback" not in ended.stderr
