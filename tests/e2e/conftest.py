"""What the end-to-end tests share: the endpoint, and processes that never outlive a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable

import pytest
from openai_endpoint import Endpoint
from processes import ACTIVATIONS, HERE, Activation
from programs import wait_until


@pytest.fixture(scope="session", autouse=True)
def _the_release_that_these_tests_are_for() -> None:
    if version("livekit-agents") != "1.3.5":
        pytest.skip("the end-to-end tests are written for livekit-agents 1.3.5")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def environment(endpoint: Endpoint) -> dict[str, str]:
    """The environment of an agent program that knows no shim, and that reaches no real service."""
    left_out = {"PYTHONPATH", "AUTOWRAPT_BOOTSTRAP", "ONENTER_DEADLOCK_FIX", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    left_out.add("PYTHONDONTWRITEBYTECODE")  # a job process imports a lot, and each would compile it anew
    return {
        **{name: value for name, value in os.environ.items() if name.upper() not in left_out},
        "AGENT": "Receptionist",
        "OPENAI_BASE_URL": endpoint.url,
        "OPENAI_API_KEY": "not used",
        "LIVEKIT_URL": "ws://127.0.0.1:9",
        "LIVEKIT_API_KEY": "not used",
        "LIVEKIT_API_SECRET": "not used, but it has to have a certain length",
    }


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a Python program with a way of activation, in a process group that ends with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(how: Activation, model: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*how.launcher, sys.executable, *arguments],
            env={**environment, **how.environment, "MODEL": model},
            cwd=tmp_path,
            start_new_session=True,
            **options,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # nothing is left of the group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file for what a worker writes to standard output."""
    return tmp_path / "log"


START_METHODS = {  # how the worker starts a job -> what worker.py calls it
    "forkserver": {"START_METHOD": "forkserver", "EXECUTOR": "process"},
    "spawn": {"START_METHOD": "spawn", "EXECUTOR": "process"},
    "thread": {"START_METHOD": "forkserver", "EXECUTOR": "thread"},
}


@pytest.fixture
def run_job(
    start: Callable[..., subprocess.Popen[bytes]], environment: dict[str, str], tmp_path: Path, log: Path
) -> Callable[..., Any]:
    """Have a worker run one job; return the worker's process and what the job has recorded of itself."""

    def run_job(
        activation: str, start_method: str, model: str, command: Sequence[str] = ("start",), **options: Any
    ) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        how = ACTIVATIONS[activation]
        result = tmp_path / "result.json"
        environment.update(START_METHODS[start_method], PROGRAM=how.program, RESULT=str(result))
        with log.open("w") as file:
            worker = start(how, model, str(HERE / "worker.py"), *command, stdout=file, **options)
        wait_until(result.exists, worker)  # the job has ended or found itself in a deadlock
        job = json.loads(result.read_text())
        if start_method == "thread":
            assert (job["executor"], job["pid"]) == ("thread", worker.pid)
        else:
            assert job["executor"] == "process"
            assert f"multiprocessing.{start_method} import" in job["command"]
        return worker, job

    return run_job
