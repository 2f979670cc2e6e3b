"""Whoever imports ``livekit.agents``, and however, it is patched when that is done, and its spec is what it was."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import ways_to_import
from programs import TESTS

OF_ITS_OWN = (
    ways_to_import.finder_in_front_with_a_spec_of_its_own,
    ways_to_import.finder_behind_with_a_spec_of_its_own,
)


@pytest.mark.parametrize("way", ways_to_import.ways)
def test_library_is_patched(way: Callable[[], Any], output_afresh: Callable[..., Any]) -> None:
    source = f"import json, ways_to_import as w; print(json.dumps(w.imported(w.{way.__name__})))"
    seen = output_afresh(source, env={"PYTHONPATH": str(TESTS)})
    assert seen == [[True, True], "Spec" if way in OF_ITS_OWN else "ModuleSpec"]
