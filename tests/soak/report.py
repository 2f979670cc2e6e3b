"""What the two programs have in common: they print what they measured, and hold it against another release's."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any, Callable

from livekit.agents import __version__ as release

import onenter_deadlock_fix


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument(
        "--no-worse-than",
        type=Path,
        metavar="FILE",
        help="what this command has printed with a release that has the fix; exits with 1 where this one is worse",
    )
    return parser


def environment() -> dict[str, Any]:
    return {
        "livekit-agents": release,
        "state": onenter_deadlock_fix.status().state,
        "detection": onenter_deadlock_fix.status().detection,
        "python": platform.python_version(),
    }


def report(
    ours: dict[str, Any], no_worse_than: Path | None, worse: Callable[[dict[str, Any], dict[str, Any]], list[str]]
) -> int:
    """Print what was measured, say on stderr where it is worse, and return the exit code."""
    json.dump(ours, sys.stdout, indent=2)
    print()
    if no_worse_than is None:
        return 0
    theirs = json.loads(no_worse_than.read_text())
    found = worse(json.loads(json.dumps(ours)), theirs)
    for line in found:
        print(f"worse than on {theirs['livekit-agents']}: {line}", file=sys.stderr)
    return 1 if found else 0
