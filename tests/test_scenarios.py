"""Every scenario ends on 1.3.5 with the shim as it ends on bare 1.3.6, upstream's first release with the fix.

``scenarios/upstream.json`` is what came out of 1.3.6 without the shim, played and written by ``nox -s compatibility``.
Detection is in the mode ``report`` meanwhile, as it is by default, and looks at drains very soon.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import run

TESTS = Path(__file__).parent
# played once, and not once in each of the processes that run tests
pytestmark = pytest.mark.xdist_group("scenarios")

UPSTREAM = json.loads((TESTS / "scenarios" / "upstream.json").read_text())
HANGING = (
    "the_pattern",
    "the_handle_is_awaited_later",
    "the_agent_task_fails",
    "two_agent_tasks_in_a_row",
    "a_second_tool_beside_it",
    "an_agent_task_in_an_agent_task",
    "the_pattern_in_an_agent_task",
    "entered_by_update_agent",
    "closed_during_the_agent_task",
)
NOT_CONCERNED = ("nobody_awaits_the_reply", "on_enter_awaits_the_agent_task_itself", "a_reply_to_the_user")


def play(switch: str, mode: str, *names: str) -> Any:
    environment = {
        "ONENTER_DEADLOCK_FIX": switch,
        "ONENTER_DEADLOCK_FIX_DETECT": mode,
        "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "0.05",
    }
    ended = run([sys.executable, "-m", "scenarios", *names], cwd=TESTS, env=environment)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def with_the_shim() -> Any:
    return play("on", "report")


@pytest.fixture(scope="module")
def resolved(with_the_shim: Any) -> Any:
    hanging_somewhere = [name for name, made_of_it in with_the_shim["hangs"].items() if any(made_of_it.values())]
    return play("on", "resolve", *hanging_somewhere)


@pytest.fixture(scope="module")
def without_the_shim() -> Any:
    return play("off", "off", *HANGING, *NOT_CONCERNED)


def test_what_is_compared(with_the_shim: Any, without_the_shim: Any) -> None:
    assert (with_the_shim["livekit_agents"], with_the_shim["state"]) == ("1.3.5", "patched")
    assert with_the_shim["detection"] == "report"
    assert (without_the_shim["livekit_agents"], without_the_shim["state"]) == ("1.3.5", "off")
    assert set(without_the_shim["functions"].values()) == {"its own"}
    assert UPSTREAM.keys() == with_the_shim["outcomes"].keys()


@pytest.mark.parametrize("scenario", UPSTREAM)
def test_scenario_ends_as_upstream(scenario: str, with_the_shim: Any) -> None:
    assert with_the_shim["outcomes"][scenario] == UPSTREAM[scenario]


def test_what_completes_is_not_called_a_deadlock(with_the_shim: Any) -> None:
    completed = [
        name
        for name, outcome in with_the_shim["outcomes"].items()
        if outcome["ended"] == "completed" and not outcome["waits"]  # and nobody is left waiting
    ]
    assert len(completed) > 50
    assert {name: errors(with_the_shim, name) for name in completed if errors(with_the_shim, name)} == {}


def test_every_deadlock_that_is_a_drain_is_reported_with_lines_of_the_scenario(with_the_shim: Any) -> None:
    deadlocks = [name for name, outcome in with_the_shim["outcomes"].items() if outcome["ended"] == "deadlock"]
    drains = [name for name in deadlocks if not with_the_shim["hangs"][name]["unreported"]]
    assert len(drains) > 20
    for name in drains:
        reports = errors(with_the_shim, name)
        assert reports, name
        assert all(all(report["lines"]) for report in reports), name


def test_what_is_to_be_resolved_completes(resolved: Any) -> None:
    to_be_resolved = [name for name, made_of_it in resolved["hangs"].items() if made_of_it["resolved"]]
    assert len(to_be_resolved) > 10
    for name in to_be_resolved:
        outcome = resolved["outcomes"][name]
        assert (outcome["ended"], outcome["waits"]) == ("completed", []), name


def test_what_is_only_reported_is_not_touched(resolved: Any) -> None:
    only_reported = [name for name, made_of_it in resolved["hangs"].items() if made_of_it["reported"]]
    hanging = [name for name in only_reported if resolved["outcomes"][name]["ended"] == "deadlock"]
    assert hanging
    for name in hanging:
        assert {record["level"] for record in resolved["log"][name]} >= {"ERROR"}
        assert not [record for record in resolved["log"][name] if " goes on and " in record["says"]], name


def errors(played: Any, name: str) -> list[Any]:
    return [record for record in played["log"][name] if record["level"] == "ERROR"]


@pytest.mark.parametrize("scenario", HANGING)
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
    for scenario in NOT_CONCERNED:
        assert without_the_shim["outcomes"][scenario] == UPSTREAM[scenario]
