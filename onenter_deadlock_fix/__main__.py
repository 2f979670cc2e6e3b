"""python -m onenter_deadlock_fix is the command onenter-deadlock-fix."""

import sys

if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # the working directory, which -m adds; nothing should be imported from it

from .cli.main import main

sys.exit(main())
