"""The command ``onenter-deadlock-fix``."""

import sys

PROGRAM = "onenter-deadlock-fix"
EXIT_UNKNOWN = 3  # it can't be said, or not be done; 2 is argparse's, and reserved in Docker's health checks


def complain(message: str) -> None:
    """Say what is wrong to whoever has called the command, if anybody listens."""
    if sys.stderr:
        print(f"{PROGRAM}: {message}", file=sys.stderr)
