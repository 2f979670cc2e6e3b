"""The shim beside tools that come into a process as it does: by a sitecustomize in a folder on PYTHONPATH."""

from __future__ import annotations

import json
import os
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
from programs import Completed, run

from onenter_deadlock_fix.cli.launch import BOOTSTRAP

TOOLS = [
    "opentelemetry-distro==0.59b0",
    "opentelemetry-instrumentation==0.59b0",
    "ddtrace==4.16.0",
    "newrelic==14.1.0",
    "elastic-apm==6.26.2",
]
# on, but without anybody to send something to
OFFLINE = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "DD_TRACE_ENABLED": "false",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "NEW_RELIC_LICENSE_KEY": "none",
    "NEW_RELIC_DEVELOPER_MODE": "true",
    "NEW_RELIC_MONITOR_MODE": "false",
    "ELASTIC_APM_DISABLE_SEND": "true",
    "ELASTIC_APM_CENTRAL_CONFIG": "false",
}
PROGRAM = str(Path(__file__).with_name("what_is_on.py"))

pytestmark = pytest.mark.xdist_group("other tools")  # which share an environment that takes a while to make


class Environment:
    """An environment that has the tools, beside what is installed in that of the tests."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True, with_pip=True)
        self.commands = folder / "bin"
        variables = {"base": str(folder), "platbase": str(folder)}
        self.packages = Path(sysconfig.get_path("purelib", vars=variables))
        # has .pth files read as well, as that of an editable install
        added = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (self.packages / "environment_of_the_tests.pth").write_text(added)
        python = self.commands / "python"
        script = self.commands / "onenter-deadlock-fix"
        script.write_text(f"#!{python}\nimport sys\nfrom onenter_deadlock_fix.cli.main import main\nsys.exit(main())\n")
        script.chmod(0o755)
        installed = self.run("python", "-m", "pip", "install", "--quiet", *TOOLS, cwd=folder)
        assert installed.returncode == 0, installed.stderr

    def run(self, *command: str, cwd: Path, **variables: str) -> Completed:
        path = os.pathsep.join([str(self.commands), os.environ["PATH"]])
        return run(["env", *command], cwd=cwd, env={"PATH": path, **OFFLINE, **variables})


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("tools") / "venv")


RUN = "onenter-deadlock-fix run"
OTEL, DATADOG, NEW_RELIC, ELASTIC = (
    "opentelemetry-instrument",
    "ddtrace-run",
    "newrelic-admin run-program",
    "elasticapm-run",
)


def on(environment: Environment, command: str, cwd: Path, **variables: str) -> Any:
    ended = environment.run(*command.split(), cwd=cwd, **variables)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("launchers", "tools"),
    [
        (f"{RUN} {OTEL}", ["opentelemetry"]),
        (f"{OTEL} {RUN}", ["opentelemetry"]),
        (f"{OTEL} {RUN} {RUN}", ["opentelemetry"]),
        (f"{RUN} {DATADOG}", ["ddtrace"]),
        (f"{DATADOG} {RUN}", ["ddtrace"]),
        (f"{RUN} {NEW_RELIC}", ["newrelic"]),
        (f"{NEW_RELIC} {RUN}", ["newrelic"]),
        (f"{ELASTIC} {RUN}", ["elasticapm"]),
        # these two leave out each other, also without the shim
        (f"{RUN} {DATADOG} {OTEL}", ["opentelemetry"]),
        (f"{RUN} {OTEL} {DATADOG}", ["ddtrace"]),
        (f"{OTEL} {RUN} {DATADOG}", ["ddtrace"]),
    ],
)
def test_launcher_and_tool_are_both_on(
    launchers: str, tools: list[str], environment: Environment, tmp_path: Path
) -> None:
    assert on(environment, f"{launchers} python {PROGRAM}", tmp_path) == ["shim", *tools]
    without = launchers.replace(RUN, "").split()
    assert on(environment, f"{' '.join(without)} python {PROGRAM}", tmp_path) == tools


@pytest.mark.parametrize(
    ("launcher", "tools"), [(OTEL, ["opentelemetry"]), (DATADOG, ["ddtrace"]), (NEW_RELIC, ["newrelic"])]
)
def test_folder_and_launcher_are_both_on(
    launcher: str, tools: list[str], environment: Environment, tmp_path: Path
) -> None:
    assert on(environment, f"{launcher} python {PROGRAM}", tmp_path, PYTHONPATH=BOOTSTRAP) == ["shim", *tools]


@pytest.mark.parametrize("command", ["python", f"{RUN} python"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_folders_of_both_as_the_operator_of_kubernetes_sets_them(
    command: str, position: int, environment: Environment, tmp_path: Path
) -> None:
    auto_instrumentation = environment.packages / "opentelemetry" / "instrumentation" / "auto_instrumentation"
    folders = [str(auto_instrumentation), str(environment.packages)]
    folders.insert(position, BOOTSTRAP)
    variable = os.pathsep.join(folders)
    assert on(environment, f"{command} {PROGRAM}", tmp_path, PYTHONPATH=variable) == ["shim", "opentelemetry"]


def test_operator_alone_and_the_launcher(environment: Environment, tmp_path: Path) -> None:
    auto_instrumentation = environment.packages / "opentelemetry" / "instrumentation" / "auto_instrumentation"
    variable = f"{auto_instrumentation}{os.pathsep}{environment.packages}"
    assert on(environment, f"{RUN} python {PROGRAM}", tmp_path, PYTHONPATH=variable) == ["shim", "opentelemetry"]


@pytest.mark.parametrize("launchers", [f"{RUN} {OTEL}", f"{OTEL} {RUN}"])
def test_child_processes_have_the_shim_and_are_no_business_of_opentelemetrys(
    launchers: str, environment: Environment, tmp_path: Path
) -> None:
    assert on(environment, f"{launchers} python {PROGRAM} child", tmp_path) == ["shim"]
    assert on(environment, f"{OTEL} python {PROGRAM} child", tmp_path) == []


def test_being_installed_is_not_enough_under_opentelemetry(environment: Environment, tmp_path: Path) -> None:
    assert on(environment, f"{OTEL} python {PROGRAM}", tmp_path) == ["opentelemetry"]


def test_tool_that_would_keep_the_shim_out_is_refused_with_the_command_that_works(
    environment: Environment, tmp_path: Path
) -> None:
    ended = environment.run(*f"{RUN} {ELASTIC} python {PROGRAM}".split(), cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    reason, command = ended.stderr.splitlines()
    assert reason == (
        "onenter-deadlock-fix: the sitecustomize of elasticapm-run would be found first, and it runs no other one. "
        "This works:"
    )
    assert on(environment, command, tmp_path) == ["shim", "elasticapm"]
