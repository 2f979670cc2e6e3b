"""Find what would keep the shim out of a command that is executed with the bootstrap folder on PYTHONPATH.

Not found are: a command in a string for a shell, the child processes of a program, and changes of the environment by
launchers that are not named here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..environment.text import quoted
from .env_command import read_env_arguments, split_strings
from .python_command import basename, find_python

_IGNORING_OPTIONS = "IES"  # with -I and -E Python ignores PYTHONPATH, and with -S sitecustomize
# Its sitecustomize precedes ours on the path and runs no other sitecustomize. Neither does OpenTelemetry's, but that
# loads an entry point of the shim.
_RUNS_NO_OTHER = "elasticapm-run"


class Obstacle(NamedTuple):
    """Why the shim would not be active in a command, and the words of a command in which it would be."""

    reason: str
    instead: list[str]


def find_obstacle(command: Sequence[str], run: Sequence[str] = ()) -> Obstacle | None:
    """Return what would keep the shim out of ``command``, as far as that is known, or None.

    ``run``: ``onenter-deadlock-fix run`` and its options as they were typed, for the command of the advice.
    """
    words = split_strings(command)
    python = find_python(words)
    for position, word in enumerate(python.launcher if python else words[:1]):
        before, rest = words[: position + 1], words[position + 1 :]
        if basename(word) == _RUNS_NO_OTHER:
            reason = f"the sitecustomize of {_RUNS_NO_OTHER} would be found first, and it runs no other one"
            return Obstacle(reason, [*before, *run, *_without_ignoring_options(rest)])
        env = read_env_arguments(rest)
        if basename(word) == "env" and env.command and env.removes("PYTHONPATH"):
            reason = "env would remove the PYTHONPATH that activates the shim"
            return Obstacle(reason, [*before, *env.options, *run, *_without_ignoring_options(env.command)])
    letters = "".join(letter for option in python.options for letter in option.letters) if python else ""
    ignoring = "".join(letter for letter in letters if letter in _IGNORING_OPTIONS)
    if ignoring:
        reason = f"Python started with -{ignoring} ignores PYTHONPATH or sitecustomize, which activate the shim"
        return Obstacle(reason, [*run, *_without_ignoring_options(words)])
    return None


def _without_ignoring_options(words: list[str]) -> list[str]:
    python = find_python(words)
    return [*python.launcher, *python.interpreter(without=_IGNORING_OPTIONS), *python.program] if python else words


def warnings(command: Sequence[str], executable: str) -> list[str]:
    """Return warnings of what keeps the shim out of some processes of a command, but perhaps not out of all.

    ``executable``: the file that the first word of the command resolves to.
    """
    messages = []
    obstacle = find_obstacle([*shebang(executable), executable])
    if obstacle:
        messages.append(f"the shim will not be active in {command[0]} itself: {obstacle.reason} (see its first line)")
    for file in (executable, *command[1:]):
        if _is_pex(file):
            messages.append(
                f"the shim will not be active in {quoted(file)}, which is a PEX file and takes nothing from "
                "PYTHONPATH: put onenter-deadlock-fix into it, and import onenter_deadlock_fix in your program"
            )
    return messages


def shebang(file: str) -> list[str]:
    """Return the words of a script's shebang line; [] if it has none."""
    line = first_bytes(file).partition(b"\n")[0]
    return line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []


def first_bytes(file: str) -> bytes:
    """Return the first bytes of a regular file, and none of anything else."""
    path = Path(file)
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as opened:
            return opened.read(4096)
    except (OSError, ValueError):
        return b""


def _is_pex(file: str) -> bool:
    """Return whether a file is a zip archive made by the tool ``pex``."""
    if not first_bytes(file).startswith((b"#!", b"PK")):
        return False
    from zipfile import ZipFile

    try:
        with ZipFile(file) as archive:
            return "PEX-INFO" in archive.namelist()
    except Exception:  # zipfile raises many kinds of errors for a broken archive
        return False
