"""Name the command itself, for advice that can be pasted."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from . import PROGRAM


def own_command(*, needs_path: bool = True) -> list[str]:
    """Return the words that start this command, of this environment: by its name if ``PATH`` leads to it.

    With ``needs_path=False`` they do so where there is no ``PATH``, too.
    """
    called = Path(sys.argv[0])
    script = called if called.name == PROGRAM else Path(sysconfig.get_path("scripts"), PROGRAM)
    if not script.exists():
        return [sys.executable, "-m", "onenter_deadlock_fix"]
    found = shutil.which(PROGRAM)
    if needs_path and found and os.path.samefile(found, script):
        return [PROGRAM]
    return [os.path.abspath(script)]
