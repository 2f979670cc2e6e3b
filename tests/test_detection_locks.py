"""A task in the block of a lock holds it; where the holder can't be known, the wait is no deadlock.

``hangs_in_a_lock`` and what follows it, and ``ends_with_an_event``, are scenarios.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detecting import levels, lines
from detection_programs import locks

Play = Callable[..., Any]
Program = Callable[..., Any]

ITSELF = "deadlock: the handoff to Name waits for itself"
NEVER = "deadlock: the handoff to Name waits for what can never complete"


@pytest.mark.parametrize(
    ("program", "first", "wait"),
    [
        (locks.a_condition_that_another_task_waits_in, ITSELF, "the tool ask waits for the tool collect"),
        (locks.a_condition_and_its_lock, ITSELF, "the tool ask waits for the tool collect"),
        (locks.notified_meanwhile, ITSELF, "the tool ask waits for the tool collect"),
        (locks.the_same_lock_twice, NEVER, "the tool ask waits for the tool ask"),
        (locks.the_same_lock_again_by_an_exit_stack, NEVER, "the tool ask waits for the tool ask"),
    ],
)
def test_task_in_the_block_of_a_lock_is_waited_for(program: Program, first: str, wait: str, play: Play) -> None:
    played = play(program, "report")
    record = lines(played, "ERROR")
    assert (played["over"], record[0]) == (False, first)
    assert f"  {wait}" in record


@pytest.mark.parametrize("program", [locks.a_condition_that_another_task_waits_in, locks.a_condition_and_its_lock])
def test_handoff_that_a_lock_delays_is_released(program: Program, play: Play) -> None:
    played = play(program, "resolve")
    assert (played["over"], levels(played)) == (True, ["ERROR", "WARNING"])


def test_deadlock_is_reported_once_however_many_come_to_wait_for_it(play: Play) -> None:
    played = play(locks.in_line_one_after_another, "report", after=0.1)
    assert (played["over"], levels(played)) == (False, ["ERROR"])


@pytest.mark.parametrize(
    ("program", "completes"),
    [
        (locks.behind_a_sleeper, True),
        (locks.in_line_in_a_context_manager, True),
        (locks.a_block_that_releases_its_lock_for_a_while, True),
        (locks.a_semaphore, False),
        (locks.acquired_by_hand, False),
    ],
)
def test_wait_for_a_lock_that_ends_or_whose_holder_is_unknown_is_merely_long(
    program: Program, completes: bool, play: Play
) -> None:
    played = play(program, "report")
    assert (played["over"], levels(played), played["cycle"]) == (completes, ["WARNING"], [])
