"""Whoever imports ``livekit.agents``, and however, it is patched when that is done, and its spec is what it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from programs import run
from ways_to_import import ways

PROGRAM = Path(__file__).with_name("ways_to_import.py")
OF_ITS_OWN = ("finder_in_front_with_a_spec_of_its_own", "finder_behind_with_a_spec_of_its_own")


@pytest.mark.parametrize("way", ways)
def test_library_is_patched(way: str, tmp_path: Path) -> None:
    ended = run([sys.executable, str(PROGRAM), way], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [[True, True], "Spec" if way in OF_ITS_OWN else "ModuleSpec"]
