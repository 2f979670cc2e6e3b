"""In every process that a worker starts, the pattern completes with the shim and deadlocks without it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_endpoint import ADDRESS, CONFIRMATION, GOODBYE, QUESTION, Endpoint
from processes import ACTIVATIONS, HERE, wait_until

START_METHODS = {  # how the worker starts a job -> arguments of worker.py
    "forkserver": ("forkserver", "process"),
    "spawn": ("spawn", "process"),
    "thread": ("forkserver", "thread"),
}


@pytest.fixture
def run_job(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> Callable[..., Any]:
    """Have a worker run one job; return the worker's process and what the job has recorded of itself."""

    def run_job(activation: str, start_method: str, model: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        how = ACTIVATIONS[activation]
        result = tmp_path / "result.json"
        worker = start(how, model, str(HERE / "worker.py"), how.program, *START_METHODS[start_method], str(result))
        wait_until(result.exists, worker)  # the job has ended or found itself in a deadlock
        job = json.loads(result.read_text())
        if start_method == "thread":
            assert (job["executor"], job["pid"]) == ("thread", worker.pid)
        else:
            assert job["executor"] == "process"
            assert f"multiprocessing.{start_method} import" in job["command"]
        return worker, job

    return run_job


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
def test_the_pattern_completes_in_a_job_with_the_shim(
    run_job: Callable[..., Any], endpoint: Endpoint, activation: str, start_method: str, model: str
) -> None:
    worker, job = run_job(activation, start_method, model)

    assert job["shim"] == "patched"
    assert job.get("deadlock") is None
    assert job["ended"] == f"collected {ADDRESS}"
    assert endpoint.said == [QUESTION, CONFIRMATION, GOODBYE]
    assert worker.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("start_method", "model"), [("forkserver", "llm"), ("spawn", "realtime"), ("thread", "llm"), ("thread", "realtime")]
)
def test_the_pattern_deadlocks_in_a_job_without_the_shim(
    run_job: Callable[..., Any], endpoint: Endpoint, start_method: str, model: str
) -> None:
    _, job = run_job("nothing", start_method, model)

    assert job["shim"] is None
    first, second, third, fourth = (wait.split(" waits for ") for wait in job["deadlock"])
    reply = first[1]
    assert first == ["on_enter of Receptionist", reply]
    assert second == [reply, "the tool collect_email"]
    assert third == ["the tool collect_email", "the hand-over to EmailTask"]
    assert fourth == ["the hand-over to EmailTask", "on_enter of Receptionist"]
    assert endpoint.said == []
