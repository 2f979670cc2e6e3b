"""What tests need and the extra ``test`` can't have: installed once, before the tests, and kept in pytest's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

from programs import TESTS, Completed, clean_environment, run, write_script

# switched on, but with nobody to send something to
OFFLINE = {
    **{f"OTEL_{signals}_EXPORTER": "none" for signals in ("TRACES", "METRICS", "LOGS")},
    **dict.fromkeys(("DD_TRACE_ENABLED", "DD_INSTRUMENTATION_TELEMETRY_ENABLED"), "false"),
    **{"DD_REMOTE_CONFIGURATION_ENABLED": "false", "ELASTIC_APM_CENTRAL_CONFIG": "false"},
    **{"NEW_RELIC_LICENSE_KEY": "none", "NEW_RELIC_DEVELOPER_MODE": "true", "NEW_RELIC_MONITOR_MODE": "false"},
    "ELASTIC_APM_DISABLE_SEND": "true",
}


class Prepared:
    """Packages that are installed into a folder of their own, for the tests of a file."""

    test_file: Path
    packages: Sequence[str]

    def __init__(self, cache: Path) -> None:
        depends_on = (self.packages, sys.prefix, sys.version, str(cache))
        version = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:12]
        self.folder = cache / f"{self.test_file.stem}-{version}"
        self.ready = self.folder / "ready"  # is there when the packages are

    def make(self) -> str:
        """Install the packages; return an empty string, or why that can't be."""
        shutil.rmtree(self.folder, ignore_errors=True)
        command = [*self.pip(), "--quiet", "--retries", "1", *self.packages]
        installed = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if installed.returncode:
            return (installed.stderr.strip().splitlines() or ["pip has failed"])[-1]
        self.ready.touch()
        return ""

    def pip(self) -> list[str]:
        """Return the command that installs into the folder, which it makes if need be."""
        raise NotImplementedError


class OldRelease(Prepared):
    """An affected release that is older than that of the tests, for PYTHONPATH. What it needs is installed already."""

    test_file = TESTS / "test_docs.py"
    packages: Sequence[str] = ("livekit-agents==1.2.8",)

    def pip(self) -> list[str]:
        return [sys.executable, "-m", "pip", "install", "--no-deps", f"--target={self.folder}"]


class OldReleaseWithRealtimeModel(OldRelease):
    """The last release whose AgentTasks time out on a realtime model without the shim, with OpenAI's."""

    test_file = TESTS / "e2e" / "test_realtime_model.py"
    packages = ("livekit-agents==1.2.3", "livekit-plugins-openai==1.2.3")


class Environment(Prepared):
    """An environment with OpenTelemetry, Datadog, New Relic and Elastic, beside what is installed in that of the tests.

    They need a wrapt that is older than the tests' own, so they can't be in the extra ``test``.
    """

    test_file = TESTS / "test_other_tools.py"
    packages = (
        "opentelemetry-distro==0.59b0",
        "opentelemetry-instrumentation==0.59b0",
        "ddtrace==4.16.0",
        "newrelic==14.1.0",
        "elastic-apm==6.26.2",
    )

    @property
    def site_packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder), "platbase": str(self.folder)}))

    def pip(self) -> list[str]:
        venv.create(self.folder, symlinks=True)
        # has .pth files read as well, as that of an editable install
        added = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (self.site_packages / "environment_of_the_tests.pth").write_text(added)
        python = self.folder / "bin" / "python"
        command = "import sys\nfrom onenter_deadlock_fix.cli.main import main\nsys.exit(main())\n"
        write_script(self.folder / "bin" / "onenter-deadlock-fix", f"#!{python}\n{command}")
        return [sys.executable, "-m", "pip", f"--python={python}", "install", "--no-compile"]

    def run(self, *command: str, cwd: Path, **variables: str) -> Completed:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return run(["env", *command], cwd=cwd, env={"PATH": path, **OFFLINE, **variables})
