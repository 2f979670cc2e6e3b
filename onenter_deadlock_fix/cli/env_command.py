"""Read the arguments of ``env``, of GNU's and of BSD's."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from .python_command import basename

# letters without an argument, then perhaps one whose argument is the rest of the word or the next one
_SHORT = re.compile(r"-([^uSCaPLU]*)([uSCaPLU])?(.*)", re.DOTALL)
# long options that matter or have an argument -> the same as a letter; they may be abbreviated
_LONG = {"--ignore-environment": "i", "--unset": "u", "--split-string": "S", "--chdir": "C", "--argv0": "a"}


class EnvArguments(NamedTuple):
    """What ``env`` does with its arguments.

    words: the arguments, with each string of ``-S`` split into the words that it stands for.
    is_cleared: the command gets no variable of the environment that ``env`` was started in.
    changed: the variables that are removed or set.
    """

    words: list[str]
    is_cleared: bool
    changed: set[str]


def split_strings(command: Sequence[str]) -> list[str]:
    """Return a command with the strings of ``env -S`` split into words."""
    words = list(command)
    for position, word in enumerate(words):
        if basename(word) == "env":
            return [*words[: position + 1], *read_env_arguments(words[position + 1 :]).words]
    return words


def removes(variable: str, command: Sequence[str]) -> bool:
    """Return whether a command, whose first word is ``env``, removes a variable, or sets it to another value."""
    env = read_env_arguments(command[1:])
    return basename(command[0]) == "env" and (env.is_cleared or variable in env.changed)


def read_env_arguments(arguments: Sequence[str]) -> EnvArguments:
    """Read the arguments of ``env``, up to the command that it executes."""
    rest, words, is_cleared, changed = list(arguments), [], False, set()
    while rest and rest[0].startswith("-") and rest[0] != "--":
        word = rest.pop(0)
        letters, last, argument = _option(word)
        is_separate = bool(last) and argument is None and bool(rest)
        argument = rest.pop(0) if is_separate else argument or ""
        is_cleared = is_cleared or "i" in letters
        if last == "S":
            words += [f"-{letters}"] * bool(letters)
            with contextlib.suppress(ValueError):  # a quotation mark without its other one
                argument, rest = "", [*shlex.split(argument), *rest]
            words += [argument] * bool(argument)
            continue
        words += [word, argument] if is_separate else [word]
        if last == "u":
            changed.add(argument)
    for word in rest[rest[:1] == ["--"] :]:
        if "=" not in word:
            break
        changed.add(word.partition("=")[0])
    return EnvArguments([*words, *rest], is_cleared, changed)


def _option(word: str) -> tuple[str, str, str | None]:
    """Return the letters without an argument, the one with an argument, and the argument that is in the same word."""
    if word == "-":
        return "i", "", None
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        letter = next((letter for long, letter in _LONG.items() if long.startswith(name)), "")
        return ("i", "", None) if letter == "i" else ("", letter, value if equals else None)
    letters, last, attached = _SHORT.fullmatch(word).groups()  # type: ignore[union-attr]  # matches any word with "-"
    return letters, last or "", attached or None
