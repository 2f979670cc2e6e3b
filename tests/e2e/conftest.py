"""What the end-to-end tests share: the endpoint, and processes that never outlive a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from openai_endpoint import Endpoint
from processes import ACTIVATIONS, HERE, Activation
from programs import clean_environment, wait_until


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the environment of an agent program that knows no shim, and that reaches no real service."""
    left_out = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    return {
        **{name: value for name, value in clean_environment().items() if name.upper() not in left_out},
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
    """Return the file for what a worker writes to standard output."""
    return tmp_path / "log"


@pytest.fixture
def run_job(
    start: Callable[..., subprocess.Popen[bytes]], environment: dict[str, str], tmp_path: Path, log: Path
) -> Callable[..., Any]:
    """Have a worker run one job; return the worker's process and what the job has recorded of itself."""

    def run_job(words: str, **options: Any) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        activation, start_method, model, *command = words.split()
        how = ACTIVATIONS[activation]
        result = tmp_path / "result.json"
        environment.update(START_METHOD=start_method, PROGRAM=how.program, RESULT=str(result))
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
