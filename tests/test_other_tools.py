"""The shim beside tools that come into a process as it does: by a sitecustomize in a folder on PYTHONPATH."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest
from prepared import Environment
from programs import TESTS

from onenter_deadlock_fix.cli.launch import BOOTSTRAP

PROGRAM = str(TESTS / "what_is_on.py")


@pytest.fixture(scope="session")
def environment(prepared: Callable[..., Environment]) -> Environment:
    return prepared(Environment)


RUN = "onenter-deadlock-fix run"
OTEL = "opentelemetry-instrument"
DATADOG = "ddtrace-run"
NEW_RELIC = "newrelic-admin run-program"
AUTO = "opentelemetry/instrumentation/auto_instrumentation"


@pytest.mark.parametrize(
    ("launchers", "is_on"),
    [
        (f"{RUN} {OTEL}", ["shim", "opentelemetry"]),
        (f"{OTEL} {RUN}", ["shim", "opentelemetry"]),
        (f"{RUN} {DATADOG}", ["shim", "ddtrace"]),
        (f"{DATADOG} {RUN}", ["shim", "ddtrace"]),
        (f"{RUN} {NEW_RELIC}", ["shim", "newrelic"]),
        (f"{NEW_RELIC} {RUN}", ["shim", "newrelic"]),
        (f"elasticapm-run {RUN}", ["shim", "elasticapm"]),
        # one tool leaves out another
        (f"{RUN} {DATADOG} {OTEL}", ["shim", "opentelemetry"]),
        # as the Kubernetes operator sets it
        (f"PYTHONPATH={BOOTSTRAP}:{{site_packages}}/{AUTO}:{{site_packages}}", ["shim", "opentelemetry"]),
        (f"PYTHONPATH={{site_packages}}/{AUTO}:{BOOTSTRAP}:{{site_packages}}", ["shim", "opentelemetry"]),
    ],
)
def test_shim_and_the_other_tool_are_on(
    launchers: str, is_on: list[str], environment: Environment, tmp_path: Path
) -> None:
    words = launchers.format(site_packages=environment.site_packages).split()
    ended = environment.run(*words, "python", PROGRAM, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == is_on


def test_child_process_has_the_shim(environment: Environment, tmp_path: Path) -> None:
    ended = environment.run(*f"{RUN} {OTEL} python {PROGRAM} child".split(), cwd=tmp_path)
    assert json.loads(ended.stdout) == ["shim"]  # OpenTelemetry is switched on in one process
