"""Every scenario ends on 1.3.5 with the shim as it ends on bare 1.3.6, upstream's first release with the fix.

``scenarios/upstream.json`` is what came out of 1.3.6 without the shim; ``nox -s compatibility`` has played and written it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import run

TESTS = Path(__file__).parent
UPSTREAM = json.loads((TESTS / "scenarios" / "upstream.json").read_text())

# hang on bare 1.3.5, and only there
NEEDS_THE_SHIM = ["the_pattern", "an_agent_task_in_an_agent_task", "the_pattern_in_an_agent_task"]


def play(switch: str, *names: str) -> Any:
    ended = run([sys.executable, "-m", "scenarios", *names], cwd=TESTS, env={"ONENTER_DEADLOCK_FIX": switch})
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def with_the_shim() -> Any:
    return play("on")


@pytest.fixture(scope="module")
def without_the_shim() -> Any:
    return play("off")


def test_what_is_compared(with_the_shim: Any, without_the_shim: Any) -> None:
    assert (with_the_shim["livekit_agents"], with_the_shim["state"]) == ("1.3.5", "patched")
    assert (without_the_shim["livekit_agents"], without_the_shim["state"]) == ("1.3.5", "off")
    assert set(without_the_shim["functions"].values()) == {"its own"}
    assert UPSTREAM.keys() == with_the_shim["outcomes"].keys()


@pytest.mark.parametrize("scenario", UPSTREAM)
def test_scenario_ends_as_upstream(scenario: str, with_the_shim: Any) -> None:
    assert with_the_shim["outcomes"][scenario] == UPSTREAM[scenario]
