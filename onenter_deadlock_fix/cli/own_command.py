"""Find the words that start this command, for advice that can be pasted."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from . import PROGRAM


def own_command() -> list[str]:
    """Return the words that start this command in this environment, even if it is not on ``PATH``."""
    called = Path(sys.argv[0])
    script = called if called.name == PROGRAM else Path(sysconfig.get_path("scripts"), PROGRAM)
    return [os.path.abspath(script)] if script.exists() else [sys.executable, "-m", "onenter_deadlock_fix"]
