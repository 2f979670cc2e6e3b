"""Put names of files and the like, which may hold anything, into output for people and machines."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any


def quoted(text: str | os.PathLike[str]) -> str:
    """Return a word of a command as it can be pasted into a shell; one with control characters as a Python string."""
    word = os.fspath(text)
    return shlex.quote(word) if word.isprintable() else repr(word)


def json_text(value: Any) -> str:
    """Return a value as JSON. It has no text for the bytes of file names that are no UTF-8: they are escaped."""
    return json.dumps(_valid(value))


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_valid(key): _valid(item) for key, item in value.items()}
    return list(map(_valid, value)) if isinstance(value, (list, tuple)) else value
