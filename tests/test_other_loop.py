"""Detection sees the same in event loops that are not asyncio's own, or not as it is imported."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from detecting import PROGRAM
from programs import run

UVLOOP = "import asyncio, uvloop\nuvloop.install()\n"
NESTED = "import nest_asyncio\nnest_asyncio.apply()\n"  # as livekit-agents' own jupyter module does
DEBUG = "import os\nos.environ['PYTHONASYNCIODEBUG'] = '1'\n"


@pytest.mark.parametrize("changed", [UVLOOP, NESTED, DEBUG])
@pytest.mark.parametrize(("program", "levels"), [("nested", ["ERROR"]), ("slow", ["WARNING"]), ("quick", [])])
def test_deadlock_is_told_from_a_wait(changed: str, program: str, levels: list[str], tmp_path: Path) -> None:
    if changed is UVLOOP:
        pytest.importorskip("uvloop")
    (tmp_path / "sitecustomize.py").write_text(changed)
    environment = {
        "PYTHONPATH": str(tmp_path),
        "ONENTER_DEADLOCK_FIX_DETECT": "report",
        "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "0.2",
    }
    ended = run([sys.executable, str(PROGRAM), program], cwd=PROGRAM.parent, env=environment)
    assert ended.returncode == 0, ended.stderr
    seen: Any = json.loads(ended.stdout)
    assert seen["over"] is (program != "nested")
    assert [record["level"] for record in seen["records"]] == levels
