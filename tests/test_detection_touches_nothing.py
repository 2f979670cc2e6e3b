"""A check calls no method of the user's objects, whatever they are and wherever they are."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detection_programs import locks, odd_objects

Play = Callable[..., Any]
Program = Callable[..., Any]


@pytest.mark.parametrize(
    "program", [odd_objects.everywhere, odd_objects.odd_futures, odd_objects.odd_tasks, odd_objects.odd_agents]
)
def test_deadlock_is_reported_and_no_method_of_an_odd_object_is_called(program: Program, play: Play) -> None:
    played = play(program, "report")
    errors = [record["message"] for record in played["records"] if record["level"] == "ERROR"]
    assert [message.startswith("deadlock: the handoff to ") for message in errors] == [True]
    assert played["result"] == []  # which methods were called
    if program is odd_objects.odd_agents:  # and so is the run
        (warning,) = (record["message"] for record in played["records"] if record["level"] == "WARNING")
        assert warning.endswith(": it may need the user's next turn, which the run does not send")


def test_check_keeps_nothing_alive_until_the_next_garbage_collection(play: Play) -> None:
    played = play(locks.held_by_a_task_that_was_checked, "off")
    assert played["result"] == (["the task a task waits for the task a task"], True)
