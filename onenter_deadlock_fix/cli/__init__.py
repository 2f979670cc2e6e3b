"""The command ``onenter-deadlock-fix``."""

from __future__ import annotations

import sys

PROGRAM = "onenter-deadlock-fix"
EXIT_UNKNOWN = 3  # no answer, or the command failed; 2 is argparse's, and Docker reserves it in health checks


def print_error(message: str) -> None:
    """Print a message on stderr, if it is open."""
    write_error(f"{PROGRAM}: {message}\n")


def write_error(text: str) -> None:
    """Write text to stderr, if it is open."""
    if not sys.stderr:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None  # else the flush at exit fails as well, and changes the exit code
