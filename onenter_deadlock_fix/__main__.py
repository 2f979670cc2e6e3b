"""python -m onenter_deadlock_fix is the command onenter-deadlock-fix."""

import sys

from .cli.main import main

sys.exit(main())
