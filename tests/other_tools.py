"""An environment with OpenTelemetry, Datadog, New Relic and Elastic, beside what is installed in that of the tests.

They need a wrapt that is older than the tests' own, so they can't be in the extra ``test``.
"""

from __future__ import annotations

import os
import sysconfig
import venv
from pathlib import Path

from prepared import Prepared
from programs import TESTS, Completed, run, write_script

# switched on, but with nobody to send something to
OFFLINE = {
    **{f"OTEL_{signals}_EXPORTER": "none" for signals in ("TRACES", "METRICS", "LOGS")},
    **dict.fromkeys(("DD_TRACE_ENABLED", "DD_INSTRUMENTATION_TELEMETRY_ENABLED"), "false"),
    **{"DD_REMOTE_CONFIGURATION_ENABLED": "false", "ELASTIC_APM_CENTRAL_CONFIG": "false"},
    **{"NEW_RELIC_LICENSE_KEY": "none", "NEW_RELIC_DEVELOPER_MODE": "true", "NEW_RELIC_MONITOR_MODE": "false"},
    "ELASTIC_APM_DISABLE_SEND": "true",
}


class Environment(Prepared):
    """An environment that has the tools, beside what is installed in that of the tests."""

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
        venv.create(self.folder, symlinks=True, with_pip=True)
        # has .pth files read as well, as that of an editable install
        added = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (self.site_packages / "environment_of_the_tests.pth").write_text(added)
        python = self.folder / "bin" / "python"
        command = "import sys\nfrom onenter_deadlock_fix.cli.main import main\nsys.exit(main())\n"
        write_script(self.folder / "bin" / "onenter-deadlock-fix", f"#!{python}\n{command}")
        return [str(python), "-m", "pip", "install"]

    def run(self, *command: str, cwd: Path, **variables: str) -> Completed:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return run(["env", *command], cwd=cwd, env={"PATH": path, **OFFLINE, **variables})
