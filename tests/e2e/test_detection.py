"""In every process that a worker starts, a handoff that waits for itself is in the worker's own log, or goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_endpoint import CONFIRMATION, QUESTION, Endpoint
from processes import HERE, records
from programs import LIMIT, wait_until

LINES = {  # of the tools that wait
    "arrange_call": "await self.session.generate_reply(",
    "collect_email": "self._email = await EmailTask()",
}


@pytest.mark.parametrize(
    ("mode", "job_words"),
    [
        ("report", "run forkserver llm start"),
        ("resolve", "PYTHONPATH spawn realtime start"),
        ("resolve", "run thread llm start"),
    ],
)
def test_deadlock_in_a_job_is_in_the_workers_log_and_resolved_where_that_is_wanted(
    run_job: Callable[..., Any], environment: dict[str, str], endpoint: Endpoint, log: Path, mode: str, job_words: str
) -> None:
    environment.update(ONENTER_DEADLOCK_FIX_DETECT=mode, ONENTER_DEADLOCK_FIX_DETECT_AFTER="0.5", AGENT="Operator")
    worker, job = run_job(job_words)
    assert (job["shim"], job["detection"]) == ("patched", mode)
    if mode == "report":
        assert len(job["deadlock"]) == 5
        wait_until(lambda: len(records(log)) > 1, worker)
        levels = ["INFO", "ERROR"]
    else:
        assert worker.wait(timeout=LIMIT) == 0
        assert job["ended"] == "arranged"
        assert endpoint.said[:2] == [QUESTION, CONFIRMATION]
        levels = ["INFO", "ERROR", "WARNING"]
    assert [record["level"] for record in records(log)] == levels

    record = records(log)[1]
    assert record["message"].splitlines()[0] == "deadlock: the handoff to EmailTask waits for itself"
    source = (HERE / "agents.py").read_text().splitlines()
    waits = [wait for wait in record["deadlock"]["waits"] if wait["role"] == "tool"]
    assert {wait["name"] for wait in waits} == {f"the tool {name}" for name in LINES}
    for wait in waits:
        place, _, function = wait["lines"][-1].partition(" in ")
        file, _, number = place.rpartition(":")
        assert (Path(file).name, f"the tool {function}") == ("agents.py", wait["name"])
        assert LINES[function] in source[int(number) - 1]
