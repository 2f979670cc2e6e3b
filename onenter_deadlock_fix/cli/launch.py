"""``run``: executes a command with the bootstrap folder on PYTHONPATH, for every Python process that it starts."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import print_error
from .obstacles import beginning, find_obstacle, warnings
from .own_command import own_command

BOOTSTRAP = str(Path(__file__).parents[1] / "bootstrap")
EXIT_REFUSED, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 2, 126, 127  # the last two as shells have them

# CPython ignores these in its own process, whatever they were, and what a process ignores is inherited by a command
_IGNORED_BY_PYTHON = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(signal, name)]


def launch(command: list[str], options: Sequence[str]) -> int:
    """Execute ``command`` in the place of this process; return the exit code where that can't be.

    ``options`` is the words between this command and that one, to be named in advice.
    """
    executable = shutil.which(command[0])
    obstacle = find_obstacle(command, [*own_command(), *options])
    if obstacle:
        print_error(f"{obstacle.reason}. This works:\n  {shlex.join(obstacle.instead)}")
        return EXIT_REFUSED
    for warning in warnings(command, executable) if executable else ():
        print_error(f"warning: {warning}")
    os.environ["PYTHONPATH"] = _python_path()
    try:
        if not command[0]:
            raise FileNotFoundError
        if os.name == "nt":  # has no exec that whoever started us would wait for
            return subprocess.call([executable or command[0], *command[1:]])
        if executable is None:
            os.execvp(command[0], command)  # raises why not
        _execute(executable, command)
    except (FileNotFoundError, NotADirectoryError):
        print_error(f"{shlex.quote(command[0])}: command not found")
        return EXIT_NOT_FOUND
    except OSError as error:
        print_error(f"{shlex.quote(command[0])} cannot be executed: {error.strerror}")
    return EXIT_NOT_EXECUTABLE


def _execute(executable: str, command: list[str]) -> None:
    """Execute a file as a shell, ``env`` and ``nohup`` do; return, or raise ``OSError``, only where that fails."""
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(executable, command)
    except OSError as error:
        if error.errno != errno.ENOEXEC or b"\0" in beginning(executable):
            raise
        os.execv(
            "/bin/sh", ["sh", executable, *command[1:]]
        )  # a script without a first line that says what executes it
    finally:
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_IGN)


def _python_path() -> str:
    variable = os.environ.get("PYTHONPATH")
    entries = variable.split(os.pathsep) if variable else []  # an empty entry is the working directory
    return os.pathsep.join([BOOTSTRAP, *_removed_folder(entries), *(entry for entry in entries if entry != BOOTSTRAP)])


def _removed_folder(entries: Sequence[str]) -> list[str]:
    """Return the folder of a sitecustomize that has run in this process and removed it from PYTHONPATH.

    OpenTelemetry's does so, in order not to be in the child processes of an application. For it, we are the
    application, and it would be missing in the command.
    """
    folder = os.path.dirname(getattr(sys.modules.get("sitecustomize"), "__file__", None) or "")
    standard_library = os.path.dirname(os.__file__)
    from_python_path = sys.path[: sys.path.index(standard_library)] if standard_library in sys.path else []
    return [folder] if folder in from_python_path and folder not in map(os.path.abspath, entries) else []
