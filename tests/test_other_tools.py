"""The shim beside tools that come into a process as it does: by a sitecustomize in a folder on PYTHONPATH."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

import pytest
from other_tools import Environment
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


def on(environment: Environment, launchers: str, cwd: Path, *arguments: str, **variables: str) -> Any:
    """Return what is on in a process that is started by launchers."""
    ended = environment.run(*launchers.split(), "python", PROGRAM, *arguments, cwd=cwd, **variables)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("launchers", "tool"),
    [
        (f"{RUN} {OTEL}", "opentelemetry"),
        (f"{OTEL} {RUN}", "opentelemetry"),
        (f"{RUN} {DATADOG}", "ddtrace"),
        (f"{DATADOG} {RUN}", "ddtrace"),
        (f"{RUN} {NEW_RELIC}", "newrelic"),
        (f"{NEW_RELIC} {RUN}", "newrelic"),
    ],
)
def test_both_are_on_whichever_is_outside(launchers: str, tool: str, environment: Environment, tmp_path: Path) -> None:
    assert on(environment, launchers, tmp_path) == ["shim", tool]


def test_shim_is_on_where_one_tool_leaves_out_another(environment: Environment, tmp_path: Path) -> None:
    assert on(environment, f"{DATADOG} {OTEL}", tmp_path) == ["opentelemetry"]
    assert on(environment, f"{RUN} {DATADOG} {OTEL}", tmp_path) == ["shim", "opentelemetry"]


def test_folder_on_the_path_is_enough_under_opentelemetry(environment: Environment, tmp_path: Path) -> None:
    assert on(environment, OTEL, tmp_path, PYTHONPATH=BOOTSTRAP) == ["shim", "opentelemetry"]
    assert on(environment, OTEL, tmp_path) == ["opentelemetry"]


@pytest.mark.parametrize(
    ("launchers", "path"),
    [
        (RUN, "{auto} {packages}"),
        ("", "{bootstrap} {auto} {packages}"),
        ("", "{auto} {bootstrap} {packages}"),
    ],
)
def test_folders_as_the_kubernetes_operator_sets_them(
    launchers: str, path: str, environment: Environment, tmp_path: Path
) -> None:
    auto = environment.site_packages / "opentelemetry" / "instrumentation" / "auto_instrumentation"
    folders = path.format(auto=auto, packages=environment.site_packages, bootstrap=BOOTSTRAP).split()
    assert on(environment, launchers, tmp_path, PYTHONPATH=os.pathsep.join(folders)) == ["shim", "opentelemetry"]


def test_child_processes_have_the_shim_and_are_no_business_of_opentelemetrys(
    environment: Environment, tmp_path: Path
) -> None:
    assert on(environment, f"{RUN} {OTEL}", tmp_path, "child") == ["shim"]
    assert on(environment, OTEL, tmp_path, "child") == []


def test_tool_that_would_keep_the_shim_out_is_refused_with_the_command_that_works(
    environment: Environment, tmp_path: Path
) -> None:
    ended = environment.run(*RUN.split(), "elasticapm-run", "python", PROGRAM, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    reason, command = ended.stderr.splitlines()
    assert reason == (
        "onenter-deadlock-fix: the sitecustomize of elasticapm-run would be found first, and it runs no other one. "
        "This works:"
    )
    assert command == f"  elasticapm-run {environment.commands}/{RUN} python {PROGRAM}"
    assert on(environment, f"elasticapm-run {RUN}", tmp_path) == ["shim", "elasticapm"]
