"""``run``: executes a command with the bootstrap folder on PYTHONPATH, for every Python process that it starts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import complain
from .command_line import obstacle, warnings

BOOTSTRAP = str(Path(__file__).parents[1] / "bootstrap")
EXIT_REFUSED, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 2, 126, 127  # the last two as shells have them


def launch(command: Sequence[str], launcher: Sequence[str]) -> int:
    """Execute ``command`` in the place of this process; return the exit code where that can't be.

    ``launcher`` is what stands before it on the command line, to be named in advice.
    """
    executable = shutil.which(command[0]) or command[0] if command else ""
    found = obstacle(command, launcher)
    if found:
        complain(f"{found.reason}. This works:\n  {shlex.join(found.instead)}")
        return EXIT_REFUSED
    for warning in warnings(command, executable) if executable else ():
        complain(f"warning: {warning}")
    os.environ["PYTHONPATH"] = _python_path()
    try:
        if not executable:
            raise FileNotFoundError
        if os.name == "nt":  # has no exec that whoever started us would wait for
            return subprocess.call([executable, *command[1:]])
        os.execvp(command[0], list(command))
    except (FileNotFoundError, NotADirectoryError):
        complain(f"{command[0] if executable else repr('')}: command not found")
        return EXIT_NOT_FOUND
    except OSError as error:
        complain(f"{command[0]} cannot be executed: {error.strerror}")
        return EXIT_NOT_EXECUTABLE


def _python_path() -> str:
    variable = os.environ.get("PYTHONPATH")
    listed = variable.split(os.pathsep) if variable else []  # an empty entry is the working directory
    return os.pathsep.join([BOOTSTRAP, *_taken_out(listed), *(entry for entry in listed if entry != BOOTSTRAP)])


def _taken_out(listed: Sequence[str]) -> list[str]:
    """Return the folder of a sitecustomize that has run in this process and taken it out of PYTHONPATH.

    OpenTelemetry's does so, in order not to be in the child processes of an application. For it, we are the
    application, and it would be missing in the command.
    """
    folder = os.path.dirname(getattr(sys.modules.get("sitecustomize"), "__file__", None) or "")
    standard_library = os.path.dirname(os.__file__)
    from_python_path = sys.path[: sys.path.index(standard_library)] if standard_library in sys.path else []
    return [folder] if folder in from_python_path and folder not in map(os.path.abspath, listed) else []
