"""In every process that a worker starts, the pattern completes with the shim and deadlocks without it.

The worker's own log has a record that the fix is active, or is not, and one of the first handoff that it changed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_endpoint import ADDRESS, CONFIRMATION, GOODBYE, QUESTION, Endpoint
from programs import LIMIT

ACTIVE = "onenter-deadlock-fix is active on livekit-agents 1.3.5"
NOT_ACTIVE = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5"
CHANGED = "the handoff to EmailTask by the tool collect_email does not wait for on_enter() of Receptionist"


# Every way of activation with every way to start a job, and either of them with either model.
@pytest.mark.parametrize(
    ("activation", "start_method", "model"),
    [
        ("import", "forkserver", "llm"),
        ("import", "spawn", "realtime"),
        ("import", "thread", "llm"),
        ("PYTHONPATH", "forkserver", "realtime"),
        ("PYTHONPATH", "spawn", "llm"),
        ("PYTHONPATH", "thread", "realtime"),
        ("run", "forkserver", "llm"),
        ("run", "spawn", "realtime"),
        ("run", "thread", "llm"),
        ("autowrapt", "forkserver", "realtime"),
        ("autowrapt", "spawn", "llm"),
        ("autowrapt", "thread", "realtime"),
    ],
)
def test_the_pattern_completes_in_a_job_with_the_shim_and_is_in_the_log(
    run_job: Callable[..., Any],
    endpoint: Endpoint,
    tmp_path: Path,
    activation: str,
    start_method: str,
    model: str,
) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        worker, job = run_job(activation, start_method, model, stdout=file)
        assert worker.wait(timeout=LIMIT) == 0

    assert job["shim"] == "patched"
    assert job.get("deadlock") is None
    assert job["ended"] == f"collected {ADDRESS}"
    assert job["handoffs"] == 1
    assert endpoint.said == [QUESTION, CONFIRMATION, GOODBYE]
    records = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    ours = [(record["level"], record["message"]) for record in records if record["name"] == "onenter_deadlock_fix"]
    assert [level for level, _ in ours] == ["INFO", "INFO"]
    assert ours[0][1].startswith(ACTIVE)
    assert ours[1][1].startswith(CHANGED)


@pytest.mark.parametrize("start_method", ["forkserver", "spawn", "thread"])
def test_the_log_of_dev_mode_has_both_records(
    run_job: Callable[..., Any], environment: dict[str, str], tmp_path: Path, start_method: str
) -> None:
    environment["COLUMNS"] = "400"  # so that no message is wrapped
    log = tmp_path / "log"
    with log.open("w") as file:
        worker, job = run_job(
            "import", start_method, "llm", command=("dev", "--no-reload"), stdout=file, stderr=subprocess.STDOUT
        )
        assert worker.wait(timeout=LIMIT) == 0

    assert (job["shim"], job["handoffs"]) == ("patched", 1)
    lines = [line for line in log.read_text().splitlines() if "INFO" in line]
    assert [text for line in lines for text in (ACTIVE, CHANGED) if text in line] == [ACTIVE, CHANGED]


def test_the_log_has_a_warning_where_the_shim_is_switched_off(
    run_job: Callable[..., Any], environment: dict[str, str], tmp_path: Path
) -> None:
    environment["ONENTER_DEADLOCK_FIX"] = "off"
    log = tmp_path / "log"
    with log.open("w") as file:
        _, job = run_job("import", "forkserver", "llm", stdout=file, stderr=subprocess.STDOUT)

    assert (job["shim"], len(job["deadlock"])) == ("off", 4)
    assert NOT_ACTIVE in log.read_text()


@pytest.mark.parametrize(
    ("start_method", "model"), [("forkserver", "llm"), ("spawn", "realtime"), ("thread", "llm"), ("thread", "realtime")]
)
def test_the_pattern_deadlocks_in_a_job_without_the_shim(
    run_job: Callable[..., Any], endpoint: Endpoint, start_method: str, model: str
) -> None:
    _, job = run_job("nothing", start_method, model)

    assert job["shim"] is None
    first, second, third, fourth = (wait.split(" waits for ") for wait in job["deadlock"])
    reply, handoff = first[1], fourth[0]
    assert first == ["on_enter() of Receptionist", reply]
    assert second == [reply, "the tool collect_email"]
    assert third == ["the tool collect_email", handoff]
    assert fourth == [handoff, "on_enter() of Receptionist"]
    assert handoff.endswith(" to EmailTask")
    assert endpoint.said == []
