"""``run``: execute a command with the bootstrap folder on PYTHONPATH, for every Python process that it starts."""

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
from .obstacles import find_obstacle, first_bytes, warnings
from .own_command import own_command

BOOTSTRAP = str(Path(__file__).parents[1] / "bootstrap")
EXIT_REFUSED, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 2, 126, 127  # the last two as in shells

# CPython ignores these signals in its own process, and a command would inherit that
_IGNORED_BY_PYTHON = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(signal, name)]


def launch(command: list[str], options: Sequence[str]) -> int:
    """Replace this process by ``command``; return the exit code if that fails.

    ``options``: the words between this command and that one, for the advice that is printed.
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
        if os.name == "nt":  # after exec on Windows, the parent process would not wait
            return subprocess.call([executable or command[0], *command[1:]])
        if executable is None:
            os.execvp(command[0], command)  # raises the reason
        _execute(executable, command)
    except (FileNotFoundError, NotADirectoryError):
        print_error(f"{shlex.quote(command[0])}: command not found")
        return EXIT_NOT_FOUND
    except OSError as error:
        print_error(f"{shlex.quote(command[0])} cannot be executed: {error.strerror}")
    return EXIT_NOT_EXECUTABLE


def _execute(executable: str, command: list[str]) -> None:
    """Execute a file like a shell, ``env`` and ``nohup`` do; raise ``OSError`` if that fails."""
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(executable, command)
    except OSError as error:
        if error.errno != errno.ENOEXEC or b"\0" in first_bytes(executable):
            raise
        os.execv("/bin/sh", ["sh", executable, *command[1:]])  # a script without a shebang line
    finally:
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_IGN)


def _python_path() -> str:
    variable = os.environ.get("PYTHONPATH")
    entries = variable.split(os.pathsep) if variable else []  # an empty entry is the working directory
    return os.pathsep.join([BOOTSTRAP, *_removed_folder(entries), *(entry for entry in entries if entry != BOOTSTRAP)])


def _removed_folder(entries: Sequence[str]) -> list[str]:
    """Return the folder of a sitecustomize that has run in this process and removed it from PYTHONPATH.

    OpenTelemetry's does so, to keep out of the child processes of an application. It takes this process for the
    application, and would be missing in the command.
    """
    folder = os.path.dirname(getattr(sys.modules.get("sitecustomize"), "__file__", None) or "")
    standard_library = os.path.dirname(os.__file__)
    from_python_path = sys.path[: sys.path.index(standard_library)] if standard_library in sys.path else []
    return [folder] if folder in from_python_path and folder not in map(os.path.abspath, entries) else []
