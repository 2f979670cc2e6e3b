"""The command ``onenter-deadlock-fix``."""

import sys

PROGRAM = "onenter-deadlock-fix"


def complain(message: str) -> None:
    """Say what is wrong to whoever has called the command, if anybody listens."""
    if sys.stderr:
        print(f"{PROGRAM}: {message}", file=sys.stderr)
