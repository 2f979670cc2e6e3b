"""In every process that a worker starts, the pattern completes with the shim and deadlocks without it.

The worker's own log has a record that the fix is active, or is not, and one of the first handoff that it changed.
"""

from __future__ import annotations

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


# Every way of activation, where it has to reach a process; test_detection.py has the others.
@pytest.mark.parametrize(
    "job_words",
    [
        "import forkserver llm dev --no-reload",
        "import spawn realtime start",
        "import thread llm dev --no-reload",
        "PYTHONPATH forkserver realtime start",
        "run spawn llm start",
        "autowrapt forkserver llm start",
    ],
)
def test_the_pattern_completes_in_a_job_with_the_shim_and_is_in_the_log(
    run_job: Callable[..., Any], environment: dict[str, str], endpoint: Endpoint, log: Path, job_words: str
) -> None:
    environment["COLUMNS"] = "400"  # so that no message is wrapped
    worker, job = run_job(job_words, stderr=subprocess.STDOUT)
    assert worker.wait(timeout=LIMIT) == 0
    assert (job["shim"], job["ended"], job["handoffs"]) == ("patched", f"collected {ADDRESS}", 1)
    assert endpoint.said == [QUESTION, CONFIRMATION, GOODBYE]
    lines = [line for line in log.read_text().splitlines() if "INFO" in line]
    assert [text for line in lines for text in (ACTIVE, CHANGED) if text in line] == [ACTIVE, CHANGED]


def test_the_log_has_a_warning_where_the_shim_is_switched_off(
    run_job: Callable[..., Any], environment: dict[str, str], log: Path
) -> None:
    environment["ONENTER_DEADLOCK_FIX"] = "off"
    _, job = run_job("import forkserver llm start", stderr=subprocess.STDOUT)
    assert (job["shim"], len(job["deadlock"])) == ("off", 4)
    assert NOT_ACTIVE in log.read_text()


def test_the_pattern_deadlocks_in_a_job_without_the_shim(run_job: Callable[..., Any], endpoint: Endpoint) -> None:
    _, job = run_job("nothing spawn realtime start")
    assert job["shim"] is None
    first, second, third, fourth = (wait.split(" waits for ") for wait in job["deadlock"])
    reply, handoff = first[1], fourth[0]
    assert first == ["on_enter() of Receptionist", reply]
    assert second == [reply, "the tool collect_email"]
    assert third == ["the tool collect_email", handoff]
    assert fourth == [handoff, "on_enter() of Receptionist"]
    assert handoff.endswith(" to EmailTask")
    assert endpoint.said == []
