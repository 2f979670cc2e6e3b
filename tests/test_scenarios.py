"""Every scenario ends on 1.3.5 with the shim as it ends on bare 1.3.6, upstream's first release with the fix.

``scenarios/upstream.json`` is what came out of 1.3.6 without the shim, written by ``nox -s record``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import TESTS, Forks
from scenarios import Scenario, declared, entered, nested, pattern, realtime, scenarios
from scenarios.stage import OUTCOME, play_with

import onenter_deadlock_fix

sys.path.append(str(TESTS.parent))

from compatibility.promise import is_reported, violations_in_report, violations_in_resolve  # not installed

UPSTREAM = json.loads(Path(TESTS, "scenarios", "upstream.json").read_text(encoding="utf-8"))
SCENARIOS = scenarios()
HANGING = (
    pattern.the_pattern,
    nested.the_pattern_in_an_agent_task,
    entered.entered_by_update_agent,
    realtime.a_realtime_model,
)
ROLE = re.compile(r"the tool (?P<tool>\w+)|(?P<method>on_enter|on_exit|on_user_turn_completed) of ")


def play(scenario: Scenario, library: Forks, mode: str, fix: bool = True) -> tuple[Any, Any]:
    """Play a scenario, and return its outcome and what is kept apart from that."""
    played = library.call(play_with, scenario, mode, fix=fix)
    return {key: played.pop(key) for key in OUTCOME if key in played}, played


def test_what_is_compared(library: Forks) -> None:
    status = library.call(onenter_deadlock_fix.status)
    assert (status.livekit_agents, status.state) == ("1.3.5", "patched")
    assert UPSTREAM.keys() == SCENARIOS.keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_ends_as_upstream_and_is_reported_for_what_it_is(name: str, library: Forks) -> None:
    outcome, seen = play(SCENARIOS[name], library, "report")
    assert name in UPSTREAM, f"nox -s record -- {name} plays it on upstream's release"
    assert outcome == UPSTREAM[name]
    assert list(violations_in_report(name, declared[name], outcome, seen["log"])) == []
    # the cycle names only those who wait in the play
    waiters = [ROLE.match(wait) for wait in seen.get("cycle", ())]
    assert {waiter["tool"] or waiter["method"] for waiter in waiters if waiter} <= set(seen.get("waiting", ()))


@pytest.mark.parametrize("name", [name for name in SCENARIOS if declared[name]])
def test_scenario_is_resolved_or_left_alone(name: str, library: Forks) -> None:
    outcome, seen = play(SCENARIOS[name], library, "resolve")
    assert list(violations_in_resolve(name, declared[name], outcome, seen["log"])) == []
    if "aborted" in declared[name]:  # on bare 1.3.6 the tool ``ask`` gives up first
        assert outcome["steps"].index("collect gets Ada") < outcome["steps"].index("ask goes on")
    if "reported" in declared[name] and outcome["ended"] == "hangs":  # and not touched
        assert is_reported(seen["log"])
        assert outcome == UPSTREAM[name]


@pytest.mark.parametrize("scenario", HANGING)
def test_without_the_shim_it_is_this_deadlock(scenario: Scenario, library: Forks) -> None:
    outcome, seen = play(scenario, library, "off", fix=False)
    assert outcome["ended"] == "hangs"
    assert "collect" in seen["waiting"]
    assert not any(step.startswith(("Name.on_enter", "Person.on_enter")) for step in outcome["steps"])
