"""Random programs: nothing untrue is logged of them, nothing is left untold, and neither fix nor detection harms them.

``random_programs/upstream.json`` is what they do on bare 1.3.6, in short, written by
``nox -s shell -- 1.3.6 -m random_programs --digests random_programs/upstream.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import run

TESTS = Path(__file__).parent
pytestmark = pytest.mark.xdist_group("random programs")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Any:
    digests = tmp_path_factory.mktemp("random") / "digests.json"
    command = [sys.executable, "-W", "ignore", "-m", "random_programs", "--digests", str(digests)]
    ended = run(command, cwd=TESTS, timeout=600)  # half a minute on two idle cores
    return {**json.loads(ended.stdout), "digests": json.loads(digests.read_text(encoding="utf-8"))}


def test_what_is_logged_is_true_and_what_happens_is_no_worse(played: Any) -> None:
    assert played["problems"] == {}


def test_they_are_worth_playing(played: Any) -> None:
    assert played["programs"] == 300
    assert played["left waiting, deadlock told"] > 30
    assert played["resolved"] > 5
    assert played["nobody left waiting"] > 100


# earlier Pythons have no task groups, and later ones order some of what happens in another way
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="what is compared was played on Python 3.11")
def test_they_do_on_1_3_5_with_the_shim_what_they_do_on_bare_1_3_6(played: Any) -> None:
    upstream = json.loads((TESTS / "random_programs" / "upstream.json").read_text(encoding="utf-8"))
    assert played["livekit_agents"] == "1.3.5"
    assert played["digests"] == upstream
