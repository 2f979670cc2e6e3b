"""An environment with OpenTelemetry, Datadog, New Relic and Elastic, beside what is installed in that of the tests.

They need a wrapt that is older than the tests' own, so they can't be in the extra ``test``.
"""

from __future__ import annotations

import os
import sysconfig
import venv
from pathlib import Path

from prepared import Prepared
from programs import TESTS, Completed, run

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


class Environment(Prepared):
    """An environment that has the tools, beside what is installed in that of the tests."""

    test_file = TESTS / "test_other_tools.py"
    packages = PACKAGES

    @property
    def site_packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder), "platbase": str(self.folder)}))

    def pip(self) -> list[str]:
        venv.create(self.folder, symlinks=True, with_pip=True)
        # has .pth files read as well, as that of an editable install
        added = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (self.site_packages / "environment_of_the_tests.pth").write_text(added)
        python, script = self.folder / "bin" / "python", self.folder / "bin" / "onenter-deadlock-fix"
        script.write_text(f"#!{python}\nimport sys\nfrom onenter_deadlock_fix.cli.main import main\nsys.exit(main())\n")
        script.chmod(0o755)
        return [str(python), "-m", "pip", "install"]

    def run(self, *command: str, cwd: Path, **variables: str) -> Completed:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return run(["env", *command], cwd=cwd, env={"PATH": path, **OFFLINE, **variables})
