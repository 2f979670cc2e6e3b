"""Activates the shim under OpenTelemetry's auto-instrumentation where the bootstrap folder is on PYTHONPATH.

OpenTelemetry's sitecustomize runs no other one, but calls what is registered as ``opentelemetry_pre_instrument``. It is
a module of its own, because whatever imports the package activates the shim, and here PYTHONPATH has to ask for it.
"""

import os
import sys

_BOOTSTRAP = os.path.join("onenter_deadlock_fix", "bootstrap")


def pre_instrument() -> None:
    """Import the package if the folder is on the path of this process."""
    if any(str(entry).endswith(_BOOTSTRAP) for entry in sys.path):
        import onenter_deadlock_fix  # noqa: F401
