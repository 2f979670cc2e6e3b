"""Every scenario ends on 1.3.5 with the shim as it ends on bare 1.3.6, upstream's first release with the fix.

``scenarios/upstream.json`` is what came out of 1.3.6 without the shim, played and written by ``nox -s compatibility``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import run

TESTS = Path(__file__).parent
UPSTREAM = json.loads((TESTS / "scenarios" / "upstream.json").read_text())


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


@pytest.mark.parametrize(
    "scenario",
    [
        "the_pattern",
        "the_handle_is_awaited_later",
        "the_agent_task_fails",
        "two_agent_tasks_in_a_row",
        "a_second_tool_beside_it",
        "an_agent_task_in_an_agent_task",
        "the_pattern_in_an_agent_task",
        "entered_by_update_agent",
        "closed_during_the_agent_task",
    ],
)
def test_without_the_shim_it_is_this_deadlock(scenario: str, without_the_shim: Any) -> None:
    outcome = without_the_shim["outcomes"][scenario]
    assert outcome["ended"] == "deadlock"
    desk, reply, tool, handoff = outcome["waits"]
    assert desk.startswith("on_enter of ")
    agent = desk.split(" waits for ")[0]
    assert desk == f"{agent} waits for the reply 1"
    assert reply == "the reply 1 waits for the tool collect"
    assert tool.startswith("the tool collect waits for the hand-over to ")
    assert handoff == f"{tool.split(' waits for ')[1]} waits for {agent}"


def test_without_the_shim_what_has_nothing_to_do_with_it_ends_the_same(without_the_shim: Any) -> None:
    for scenario in ("nobody_awaits_the_reply", "on_enter_awaits_the_agent_task_itself", "a_reply_to_the_user"):
        assert without_the_shim["outcomes"][scenario] == UPSTREAM[scenario]
