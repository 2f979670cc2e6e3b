"""Find the Python interpreter in the words of a command, and its options.

The first word with the name of a Python interpreter is the interpreter. The words before it are its launcher, and the
words after it are its options, up to a script, ``-m`` or ``-c``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_PYTHON = re.compile(r"(python|pypy)w?(\d+(\.\d+)*)?[td]*(\.exe)?|pyw?(\.exe)?", re.IGNORECASE)
# letters without an argument, then optionally a letter whose argument is the rest of the word or the next word
_SHORT = re.compile(r"-(?=[^-])([^cmWX]*)([cmWX])?(.*)", re.DOTALL)
_LONG_WITH_ARGUMENT = ("--check-hash-based-pycs", "--jit")  # CPython's, PyPy's; the argument is the next word
_OURS = "onenter_deadlock_fix"


class Option(NamedTuple):
    """Options of an interpreter: letters without an argument, then the words of an option that may have one."""

    letters: str
    words: list[str]


class PythonCommand(NamedTuple):
    """A command that starts Python.

    launcher: the words before the interpreter.
    program: a script and its arguments; or ``-m`` or ``-c`` and the words after it; or nothing.
    """

    launcher: list[str]
    python: str
    options: list[Option]
    program: list[str]

    def interpreter(self, *, without: str = "") -> list[str]:
        """Return the words of the interpreter and its options, except the letters in ``without``."""
        words = [self.python]
        for letters, others in self.options:
            kept = "".join(letter for letter in letters if letter not in without)
            words += [f"-{kept}"] * bool(kept) + others
        return words


def find_python(words: Sequence[str]) -> PythonCommand | None:
    """Split a command at its Python interpreter; return None if it names none."""
    for position, word in enumerate(words):
        if _PYTHON.fullmatch(basename(word)):
            options, program = _options(list(words[position + 1 :]))
            if program[:2] == ["-m", _OURS] and find_python(program[2:]):
                continue  # this is the launcher onenter-deadlock-fix; look for the command that it executes
            return PythonCommand(list(words[:position]), word, options, program)
    return None


def basename(word: str) -> str:
    """Return the last part of a path, with the separators of any operating system."""
    return re.split(r"[/\\]", word)[-1]


def _options(rest: list[str]) -> tuple[list[Option], list[str]]:
    options = []
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if not (match := _SHORT.fullmatch(word)):
            options.append(Option("", [word, *_pop(rest, word in _LONG_WITH_ARGUMENT)]))
            continue
        letters, last, argument = match.groups()
        if last in ("c", "m"):
            options.append(Option(letters, []))
            return options, [f"-{last}", *([argument] if argument else []), *rest]
        words = [f"-{last}{argument}", *_pop(rest, not argument)] if last else []
        options.append(Option(letters, words))
    return options, rest


def _pop(words: list[str], condition: bool) -> list[str]:
    return [words.pop(0)] if condition and words else []
