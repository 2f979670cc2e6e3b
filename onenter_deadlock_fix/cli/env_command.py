"""Parse the arguments of GNU and BSD ``env``."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from .python_command import basename

# letters without an argument, then optionally a letter whose argument is the rest of the word or the next word
_SHORT = re.compile(r"-([^uSCaPLU]*)([uSCaPLU])?(.*)", re.DOTALL)
# long options that matter or have an argument -> their letter; long options may be abbreviated
_LONG = {"--ignore-environment": "i", "--unset": "u", "--split-string": "S", "--chdir": "C", "--argv0": "a"}


class EnvArguments(NamedTuple):
    """What ``env`` does with its arguments.

    options: the options and variables, without the options ``-S``, whose strings are split into words.
    command: the words of the command that it executes.
    is_cleared: the command inherits no environment variables.
    changed: the variables that are removed or set.
    """

    options: list[str]
    command: list[str]
    is_cleared: bool
    changed: set[str]

    def removes(self, variable: str) -> bool:
        """Return whether the command does not inherit the value of a variable."""
        return self.is_cleared or variable in self.changed


def split_strings(command: Sequence[str]) -> list[str]:
    """Return a command with the strings of ``env -S`` split into words."""
    words = list(command)
    for position, word in enumerate(words):
        if basename(word) == "env":
            env = read_env_arguments(words[position + 1 :])
            return [*words[: position + 1], *env.options, *env.command]
    return words


def read_env_arguments(arguments: Sequence[str]) -> EnvArguments:
    """Read the arguments of ``env``."""
    rest, options, is_cleared, changed = list(arguments), [], False, set()
    while rest and rest[0].startswith("-") and rest[0] != "--":
        word = rest.pop(0)
        letters, last, argument = _option(word)
        is_separate = bool(last) and argument is None and bool(rest)
        argument = rest.pop(0) if is_separate else argument or ""
        is_cleared = is_cleared or "i" in letters
        if last == "S":
            options += [f"-{letters}"] * bool(letters)
            with contextlib.suppress(ValueError):  # an unclosed quotation mark
                argument, rest = "", [*shlex.split(argument), *rest]
            options += [argument] * bool(argument)
            continue
        options += [word, argument] if is_separate else [word]
        if last == "u":
            changed.add(argument)
    if rest[:1] == ["--"]:
        options.append(rest.pop(0))
    while rest and "=" in rest[0]:
        changed.add(rest[0].partition("=")[0])
        options.append(rest.pop(0))
    return EnvArguments(options, rest, is_cleared, changed)


def _option(word: str) -> tuple[str, str, str | None]:
    """Return the letters without an argument, the letter with one, and its argument if it is in the same word."""
    if word == "-":
        return "i", "", None
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        letter = next((letter for long, letter in _LONG.items() if long.startswith(name)), "")
        return ("i", "", None) if letter == "i" else ("", letter, value if equals else None)
    letters, last, attached = _SHORT.fullmatch(word).groups()  # type: ignore[union-attr]  # matches any word with "-"
    return letters, last or "", attached or None
