"""An environment with OpenTelemetry, Datadog, New Relic and Elastic, beside what is installed in that of the tests.

They need a wrapt that is older than the tests' own, so they can't be in the extra ``test``. The environment is made
once, before the tests, and kept in pytest's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from programs import Completed, clean_environment, run

PACKAGES = (
    "opentelemetry-distro==0.59b0",
    "opentelemetry-instrumentation==0.59b0",
    "ddtrace==4.16.0",
    "newrelic==14.1.0",
    "elastic-apm==6.26.2",
)
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


class Environment:
    """The environment in a folder of pytest's cache."""

    def __init__(self, cache: Path) -> None:
        version = hashlib.sha256(repr((PACKAGES, sys.prefix, sys.version)).encode()).hexdigest()[:12]
        self.folder = cache / f"other-tools-{version}"
        variables = {"base": str(self.folder), "platbase": str(self.folder)}
        self.packages = Path(sysconfig.get_path("purelib", vars=variables))
        self._ready = self.folder / "ready"

    def is_ready(self) -> bool:
        return self._ready.exists()

    def make(self) -> str:
        """Make it, and return an empty string, or why that can't be."""
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, symlinks=True, with_pip=True)
        # has .pth files read as well, as that of an editable install
        added = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (self.packages / "environment_of_the_tests.pth").write_text(added)
        python, script = self.folder / "bin" / "python", self.folder / "bin" / "onenter-deadlock-fix"
        script.write_text(f"#!{python}\nimport sys\nfrom onenter_deadlock_fix.cli.main import main\nsys.exit(main())\n")
        script.chmod(0o755)
        command = [str(python), "-m", "pip", "install", "--quiet", "--retries", "1", *PACKAGES]
        installed = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if installed.returncode:
            return (installed.stderr.strip().splitlines() or ["pip has failed"])[-1]
        self._ready.touch()
        return ""

    def run(self, *command: str, cwd: Path, **variables: str) -> Completed:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return run(["env", *command], cwd=cwd, env={"PATH": path, **OFFLINE, **variables})
