"""What can be read in a command that would keep the shim out of it.

The rule: the first word that is named as a Python interpreter is one; what follows are its options, up to its script,
its ``-m`` or its ``-c``; what stands before it starts it. So it is not seen what a shell is given as one word, what a
program starts that is not named there, nor what a launcher does to the environment that is not named here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_PYTHON = re.compile(r"(python|pypy)w?(\d+(\.\d+)*)?[td]*(\.exe)?|pyw?(\.exe)?", re.IGNORECASE)
# letters without an argument, then perhaps one whose argument is the rest of the word or the next one
_OPTIONS = re.compile(r"-(?=.)([^-cmWX]*)([cmWX].*)?", re.DOTALL)
_BLIND = "IES"  # with -I and -E Python reads no PYTHONPATH, and with -S it runs no sitecustomize

# Its sitecustomize stands in front of ours and runs no other one. Nor does that of OpenTelemetry, which has an entry
# point for such as us instead.
_RUNS_NO_OTHER = "elasticapm-run"
_TAKES_PYTHONPATH = re.compile(r"-i|-|--ignore-environment|(-u|--unset=)?PYTHONPATH(=.*)?", re.DOTALL)


class Obstacle(NamedTuple):
    """Why the shim would not be active in a command, and the words of one in which it would be."""

    reason: str
    instead: list[str]


def obstacle(command: Sequence[str], launcher: Sequence[str]) -> Obstacle | None:
    """Return what would keep the shim out of ``command``, as far as it can be seen; ``launcher`` is put before it."""
    words = list(command)
    at = next((number for number, word in enumerate(words) if _PYTHON.fullmatch(_name(word))), len(words))
    before, python, after = words[:at], words[at : at + 1], words[at + 1 :]
    letters, seeing = _without_blind_options(after)
    if letters:
        reason = f"Python started with -{letters} does not read what activates the shim"
        return Obstacle(reason, [*launcher, *before, *python, *seeing])
    for number, word in enumerate(before if python else words[:1]):
        if _name(word) == _RUNS_NO_OTHER:
            reason = f"the sitecustomize of {_RUNS_NO_OTHER} would be found first, and it runs no other one"
        elif _name(word) == "env" and any(map(_TAKES_PYTHONPATH.fullmatch, before[number + 1 :])):
            reason = "env would take away the PYTHONPATH that activates the shim"
        else:
            continue
        return Obstacle(reason, [*before, *launcher, *python, *after] if python else [word, *launcher, *words[1:]])
    return None


def warnings(command: Sequence[str], executable: str) -> list[str]:
    """Return what may keep the shim out, but perhaps not of all that the command starts in turn.

    ``executable`` is the file that the first word of the command stands for.
    """
    said = []
    hidden = obstacle([*_shebang(executable), executable], ())
    if hidden:
        said.append(f"the shim will not be active in {command[0]} itself: {hidden.reason} (see its first line)")
    for file in (executable, *command[1:]):
        if _is_pex(file):
            said.append(
                f"the shim will not be active in {file}, which is a PEX file and takes nothing from PYTHONPATH: "
                "put onenter-deadlock-fix into it, and import onenter_deadlock_fix in your program"
            )
    return said


def _shebang(file: str) -> list[str]:
    """Return the words in the first line of a script that say what executes it; none if there is no such line."""
    line = _beginning(file).partition(b"\n")[0]
    return line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []


def _is_pex(file: str) -> bool:
    """Say whether a file is a zip archive as the tool ``pex`` makes them."""
    if not _beginning(file).startswith((b"#!", b"PK")):
        return False
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(file) as archive:
            return "PEX-INFO" in archive.namelist()
    except (OSError, BadZipFile):
        return False


def _beginning(file: str) -> bytes:
    path = Path(file)
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as opened:
            return opened.read(4096)
    except (OSError, ValueError):
        return b""


def _without_blind_options(words: list[str]) -> tuple[str, list[str]]:
    """Return the letters of an interpreter's options that keep it from seeing the shim, and its arguments without."""
    letters, seeing, rest = "", [], list(words)
    while rest and (match := _OPTIONS.fullmatch(rest[0])):
        rest.pop(0)
        flags, last = match[1], match[2] or ""
        letters += "".join(flag for flag in flags if flag in _BLIND)
        flags = "".join(flag for flag in flags if flag not in _BLIND)
        if flags or last:
            seeing.append(f"-{flags}{last}")
        if last[:1] in ("c", "m"):
            break
        if last in ("W", "X"):
            seeing += rest[:1]
            del rest[:1]
    return letters, [*seeing, *rest]


def _name(word: str) -> str:
    return re.split(r"[/\\]", word)[-1]
