"""Escape file names and other arbitrary text for output to people and machines."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any


def quoted(text: str | os.PathLike[str]) -> str:
    """Return a word quoted for a shell, or as a Python string if it has control characters."""
    word = os.fspath(text)
    return shlex.quote(word) if word.isprintable() else repr(word)


def json_text(value: Any) -> str:
    """Return a value as JSON. Bytes of file names that are not valid UTF-8 are escaped."""
    return json.dumps(_valid(value))


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_valid(key): _valid(item) for key, item in value.items()}
    return list(map(_valid, value)) if isinstance(value, (list, tuple)) else value
