"""A look calls nothing of the user's objects, whatever they are and wherever it comes past them."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detection_programs import locks, odd_objects

Play = Callable[..., Any]
Program = Callable[..., Any]


def assert_reported_and_untouched(seen: Any) -> None:
    assert [record["level"] for record in seen["records"]] == ["ERROR"]
    assert seen["records"][0]["message"].startswith("deadlock: the handoff to ")
    assert seen["result"] == []  # which methods were called


@pytest.mark.parametrize("kind", odd_objects.ODD)
def test_object_that_fights_back_is_left_alone_wherever_it_is(kind: str, play: Play) -> None:
    assert_reported_and_untouched(play(odd_objects.everywhere, "report", kind=kind))


def test_agent_task_that_fights_back_is_left_alone_where_a_run_leads_to_it(play: Play) -> None:
    seen = play(odd_objects.odd_agents_in_a_run, "report")
    assert [record["level"] for record in seen["records"]] == ["WARNING"]
    assert seen["records"][0]["message"].endswith(": it may need the user's next turn, which the run does not send")
    assert seen["result"] == []


@pytest.mark.parametrize(
    "what",
    [
        odd_objects.as_usual,
        odd_objects.odd_futures,
        odd_objects.odd_tasks,
        odd_objects.odd_attributes,
        odd_objects.odd_agents,
    ],
)
def test_future_task_or_agent_that_fights_back_is_left_alone(what: Program, play: Play) -> None:
    assert_reported_and_untouched(play(what, "report"))


def test_look_keeps_nothing_alive_until_the_next_garbage_collection(play: Play) -> None:
    seen = play(locks.held_by_a_task_that_was_looked_at, "off")
    assert seen["result"] == (["the task a task waits for the task a task"], True)
