"""Every scenario ends on 1.3.5 with the shim as it ends on bare 1.3.6, upstream's first release with the fix.

``scenarios/upstream.json`` is what came out of 1.3.6 without the shim, written by ``nox -s compatibility``. Detection
is in the mode ``report`` meanwhile, and looks very soon.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import run

TESTS = Path(__file__).parent
# played once, and not once in each of the processes that run tests
pytestmark = pytest.mark.xdist_group("scenarios")

UPSTREAM = json.loads((TESTS / "scenarios" / "upstream.json").read_text(encoding="utf-8"))
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
    return play("on", "resolve", *(name for name, made_of_it in with_the_shim["declared"].items() if made_of_it))


@pytest.fixture(scope="module")
def without_the_shim() -> Any:
    return play("off", "off", *HANGING, *NOT_CONCERNED)


def declared(played: Any, what: str) -> list[str]:
    return [name for name, made_of_it in played["declared"].items() if what in made_of_it]


def hanging(played: Any) -> list[str]:
    return [name for name, outcome in played["outcomes"].items() if outcome["ended"] == "hangs"]


def errors(played: Any, name: str) -> list[Any]:
    return [record for record in played["log"][name] if record["level"] == "ERROR"]


def test_what_is_compared(with_the_shim: Any, without_the_shim: Any) -> None:
    assert (with_the_shim["livekit_agents"], with_the_shim["state"]) == ("1.3.5", "patched")
    assert with_the_shim["detection"] == "report"
    assert (without_the_shim["livekit_agents"], without_the_shim["state"]) == ("1.3.5", "off")
    assert set(without_the_shim["functions"].values()) == {"its own"}
    assert UPSTREAM.keys() == with_the_shim["outcomes"].keys()


@pytest.mark.parametrize("scenario", UPSTREAM)
def test_scenario_ends_as_upstream(scenario: str, with_the_shim: Any) -> None:
    assert with_the_shim["outcomes"][scenario] == UPSTREAM[scenario]


def test_what_completes_is_not_called_a_deadlock_unless_only_an_abort_ends_it(with_the_shim: Any) -> None:
    completed = [
        name
        for name, outcome in with_the_shim["outcomes"].items()
        if outcome["ended"] == "completed" and not outcome["waits"]  # and nobody is left waiting
    ]
    not_aborted = sorted(set(completed) - set(declared(with_the_shim, "aborted")))
    assert len(not_aborted) > 50
    assert {name: errors(with_the_shim, name) for name in not_aborted if errors(with_the_shim, name)} == {}


def test_every_deadlock_is_reported_with_lines_of_the_scenario(with_the_shim: Any) -> None:
    to_be_reported = {*hanging(with_the_shim), *declared(with_the_shim, "aborted")}
    to_be_reported -= {*declared(with_the_shim, "told"), *declared(with_the_shim, "unreported")}
    assert len(to_be_reported) > 40
    assert [name for name in sorted(to_be_reported) if not errors(with_the_shim, name)] == []
    for name in to_be_reported:
        assert all(all(report["lines"]) for report in errors(with_the_shim, name)), name


def test_what_is_no_deadlock_is_told_as_one_wait(with_the_shim: Any) -> None:
    to_be_told = sorted(set(declared(with_the_shim, "told")) & set(hanging(with_the_shim)))
    assert to_be_told
    for name in to_be_told:
        assert [record["level"] for record in with_the_shim["log"][name]] == ["WARNING"], name


def test_the_cycle_names_only_those_who_wait_in_the_play(with_the_shim: Any) -> None:
    role = re.compile(r"the tool (?P<tool>\w+)|(?P<method>on_enter|on_exit|on_user_turn_completed) of ")
    told = 0
    for name in hanging(with_the_shim):
        for wait in with_the_shim["cycle"][name]:
            waiter = role.match(wait)
            if waiter:
                told += 1
                assert (waiter["tool"] or waiter["method"]) in with_the_shim["waiting"][name], (name, wait)
    assert told > 40


def test_what_is_to_be_resolved_completes(resolved: Any) -> None:
    to_be_resolved = declared(resolved, "resolved")
    assert len(to_be_resolved) > 10
    for name in to_be_resolved:
        outcome = resolved["outcomes"][name]
        assert (outcome["ended"], outcome["waits"]) == ("completed", []), name


def test_what_an_abort_would_end_is_resolved_before_that(resolved: Any) -> None:
    for name in declared(resolved, "aborted"):
        outcome = resolved["outcomes"][name]
        assert (outcome["ended"], outcome["waits"]) == ("completed", []), name
        # on bare 1.3.6 the tool ``ask`` gives up first
        assert outcome["steps"].index("collect gets Ada") < outcome["steps"].index("ask goes on"), name


def test_what_is_only_reported_is_not_touched(resolved: Any) -> None:
    only_reported = sorted(set(declared(resolved, "reported")) & set(hanging(resolved)))
    assert only_reported
    for name in only_reported:
        assert errors(resolved, name), name
        assert resolved["outcomes"][name] == UPSTREAM[name]


@pytest.mark.parametrize("scenario", HANGING)
def test_without_the_shim_it_is_this_deadlock(scenario: str, without_the_shim: Any) -> None:
    outcome = without_the_shim["outcomes"][scenario]
    assert outcome["ended"] == "hangs"
    assert "collect" in without_the_shim["waiting"][scenario]
    assert not any(step.startswith(("Name.on_enter", "Person.on_enter")) for step in outcome["steps"])


def test_without_the_shim_what_has_nothing_to_do_with_it_ends_the_same(without_the_shim: Any) -> None:
    for scenario in NOT_CONCERNED:
        assert without_the_shim["outcomes"][scenario] == UPSTREAM[scenario]
