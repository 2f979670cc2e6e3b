"""In every process that a worker starts, the pattern completes with the shim and deadlocks without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openai_endpoint import ADDRESS, CONFIRMATION, GOODBYE, QUESTION, Endpoint


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
