"""Import livekit.agents and the shim, and print their versions and states: ``python probe.py DISTRIBUTION...``.

The output is one line of JSON after ``MARK``, which includes the versions of these distributions.

The interpreter may belong to another environment, without this package or with another version of it. So this file
has no relative imports, and first notes whether the shim is already imported.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module, metadata
from typing import Any

MARK = "onenter-deadlock-fix probe: "
NOT_INSTALLED = "is not installed in this environment"


def main() -> None:
    """Print the result, which includes errors."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]  # the folder of this file
    found: dict[str, Any] = {
        "folder": sys.prefix,
        "working_directory": os.getcwd(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "path": sys.path,
        "versions": {name: _version(name) for name in sys.argv[1:]},
        "detect_after": os.environ.get("ONENTER_DEADLOCK_FIX_DETECT_AFTER"),
    }
    try:
        import_module("livekit.agents")
        found["release"] = import_module("livekit.agents.version").__version__
        found["library_folder"] = os.path.dirname(sys.modules["livekit.agents"].__file__ or "")
    except (Exception, SystemExit) as error:
        found["library_error"] = _in_words(error, "livekit", "livekit.agents")
    found["active_by_itself"] = "onenter_deadlock_fix" in sys.modules
    try:
        shim = import_module("onenter_deadlock_fix")
        found["shim"] = shim.__version__
        status = shim.status()
        found["status"] = {name: getattr(status, name) for name in ("state", "reason", "detection")}
    except (Exception, SystemExit) as error:
        found["shim_error"] = _in_words(error, "onenter_deadlock_fix")
    # not print(): an imported module may have replaced or closed sys.stdout
    os.write(1, f"\n{MARK}{json.dumps(found, default=str)}\n".encode())


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except Exception:  # it is not installed, or its metadata is broken
        return None


def _in_words(error: BaseException, *names: str) -> str:
    """Return in one line why the import of one of these modules failed."""
    if isinstance(error, ModuleNotFoundError) and error.name in names:
        return NOT_INSTALLED
    return f"does not import: {' '.join(f'{type(error).__name__}: {error}'.split())}"


if __name__ == "__main__":
    main()
