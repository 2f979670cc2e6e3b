"""In every process that a worker starts, the pattern completes with the shim and deadlocks without it.

Where it completes, the worker's own log says once that the fix was needed.
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

SEEN = (
    "the handoff to EmailTask by the tool collect_email does not wait for on_enter of Receptionist, "
    "which is unfinished; without onenter-deadlock-fix it would"
)


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
def test_the_pattern_completes_in_a_job_with_the_shim_and_the_log_says_that_it_was_needed(
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
    seen = [(record["level"], record["name"]) for record in records if record["message"] == SEEN]
    assert seen == [("INFO", "onenter_deadlock_fix")]


@pytest.mark.parametrize("start_method", ["forkserver", "spawn", "thread"])
def test_the_log_of_dev_mode_says_that_the_shim_was_needed(
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
    assert log.read_text().count(SEEN) == 1


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
    assert first == ["on_enter of Receptionist", reply]
    assert second == [reply, "the tool collect_email"]
    assert third == ["the tool collect_email", handoff]
    assert fourth == [handoff, "on_enter of Receptionist"]
    assert handoff.endswith(" to EmailTask")
    assert endpoint.said == []
