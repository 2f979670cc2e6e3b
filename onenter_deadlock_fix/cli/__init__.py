"""The command ``onenter-deadlock-fix``."""

from __future__ import annotations

import sys

PROGRAM = "onenter-deadlock-fix"
EXIT_UNKNOWN = 3  # it can't be said, or not be done; 2 is argparse's, and reserved in Docker's health checks


def print_error(message: str) -> None:
    """Print a message on stderr, where there is one that can be written."""
    write_error(f"{PROGRAM}: {message}\n")


def write_error(text: str) -> None:
    """Write text to stderr, where there is one that can be written."""
    if not sys.stderr:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None  # else the flush at exit fails as well, and changes the exit code
