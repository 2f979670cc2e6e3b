"""In every process that a worker starts, a handoff that waits for itself is in the worker's own log, or goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_endpoint import CONFIRMATION, QUESTION, Endpoint
from processes import HERE
from programs import LIMIT, wait_until

PROGRAM = "nested_agent_program"
WAYS = [("run", "forkserver", "llm"), ("PYTHONPATH", "spawn", "realtime"), ("run", "thread", "llm")]


@pytest.fixture
def detect(environment: dict[str, str]) -> Callable[[str], None]:
    def detect(mode: str) -> None:
        environment.update(ONENTER_DEADLOCK_FIX_DETECT=mode, ONENTER_DEADLOCK_FIX_DETECT_AFTER="0.5")

    return detect


def records(log: Path) -> list[dict[str, Any]]:
    """Return what the shim has in a worker's log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["name"] == "onenter_deadlock_fix" and line["level"] != "INFO"]


@pytest.mark.parametrize(("activation", "start_method", "model"), WAYS)
def test_deadlock_in_a_job_is_in_the_workers_log(
    run_job: Callable[..., Any],
    detect: Callable[[str], None],
    tmp_path: Path,
    activation: str,
    start_method: str,
    model: str,
) -> None:
    detect("report")
    log = tmp_path / "log"
    with log.open("w") as file:
        worker, job = run_job(activation, start_method, model, PROGRAM, stdout=file)
    assert (job["shim"], job["detection"], len(job["deadlock"])) == ("patched", "report", 5)

    wait_until(lambda: records(log), worker)
    (record,) = records(log)
    assert (record["level"], record["message"].splitlines()[0]) == (
        "ERROR",
        "deadlock: the handoff to EmailTask waits for itself",
    )
    source = (HERE / f"{PROGRAM}.py").read_text().splitlines()
    tools = {wait["name"]: wait for wait in record["deadlock"]["waits"] if wait["role"] == "tool"}
    assert tools.keys() == {"the tool arrange_call", "the tool collect_email"}
    for name, code in {
        "the tool arrange_call": "await self.session.generate_reply(",
        "the tool collect_email": "return await EmailTask()",
    }.items():
        line, _, told = tools[name]["lines"][-1].partition(" in ")
        file, _, number = line.rpartition(":")
        assert Path(file).name == f"{PROGRAM}.py"
        assert told == name.rpartition(" ")[2]
        assert code in source[int(number) - 1]


@pytest.mark.parametrize(("activation", "start_method", "model"), WAYS)
def test_deadlock_in_a_job_goes_on_where_it_is_resolved(
    run_job: Callable[..., Any],
    detect: Callable[[str], None],
    endpoint: Endpoint,
    tmp_path: Path,
    activation: str,
    start_method: str,
    model: str,
) -> None:
    detect("resolve")
    log = tmp_path / "log"
    with log.open("w") as file:
        worker, job = run_job(activation, start_method, model, PROGRAM, stdout=file)
        assert worker.wait(timeout=LIMIT) == 0
    assert (job["ended"], job["detection"]) == ("arranged", "resolve")
    assert endpoint.said[:2] == [QUESTION, CONFIRMATION]
    assert [record["level"] for record in records(log)] == ["ERROR", "WARNING"]
