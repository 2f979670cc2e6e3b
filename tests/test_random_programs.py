"""Random programs: what is logged of them is true and complete, and neither the fix nor detection harms them.

``random_programs/upstream.json`` is what they do on bare 1.3.6, in short, written by
``nox -s shell -- 1.3.6 -m random_programs --digests random_programs/upstream.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from programs import Forks
from random_programs.__main__ import judged, play_all

UPSTREAM = json.loads(Path(__file__).with_name("random_programs").joinpath("upstream.json").read_text(encoding="utf-8"))
SEEDS, AT_ONCE = 100, 5  # seeds of a test, and of a fork: each leaves tasks behind that the next one has to pass over


@pytest.mark.parametrize("first", range(0, len(UPSTREAM), SEEDS))
def test_what_is_logged_is_true_and_what_happens_is_no_worse(first: int, library: Forks) -> None:
    outcomes = {}
    for seed in range(first, first + SEEDS, AT_ONCE):
        outcomes.update(library.call(play_all, range(seed, seed + AT_ONCE)))
    found = judged(outcomes)
    assert found["problems"] == {}
    # they are worth playing
    assert found["left waiting, deadlock reported"] > SEEDS / 10
    assert found["resolved"] > 0
    assert found["nobody left waiting"] > SEEDS / 3
    # earlier Pythons have no task groups, and later ones order some of what happens in another way
    if sys.version_info[:2] == (3, 11):
        assert found["digests"] == {seed: UPSTREAM[str(seed)] for seed in outcomes}
