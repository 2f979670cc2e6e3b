"""Who holds a lock is known where a task is in its block, and what can't be known is no deadlock."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detecting import at
from detection_programs import deadlocks, locks

Play = Callable[..., Any]
Program = Callable[..., Any]

# and a lock, a condition and a context manager are scenarios (hangs_in_a_lock and so on)
BLOCKS = (locks.a_condition_that_another_one_waits_in, locks.a_condition_and_its_lock)


def levels(seen: Any) -> list[str]:
    return [record["level"] for record in seen["records"]]


@pytest.mark.parametrize("program", [*BLOCKS, locks.notified_meanwhile])
def test_task_in_the_block_of_a_lock_is_waited_for(program: Program, play: Play) -> None:
    seen = play(program, "report")
    assert (seen["over"], levels(seen)) == (False, ["ERROR"])
    said = seen["records"][0]["message"]
    assert said.startswith("deadlock: the handoff to Name waits for itself\n")
    assert "\n  the tool ask waits for the tool collect\n" in said


@pytest.mark.parametrize("program", BLOCKS)
def test_handoff_that_a_lock_keeps_waiting_is_let_go(program: Program, play: Play) -> None:
    seen = play(program, "resolve")
    assert (seen["over"], levels(seen)) == (True, ["ERROR", "WARNING"])


def test_task_that_takes_one_lock_twice_waits_for_itself(play: Play) -> None:
    seen = play(locks.the_same_lock_twice, "report")
    assert (seen["over"], levels(seen)) == (False, ["ERROR"])
    assert seen["cycle"] == ["the tool ask waits for the tool ask"]
    said = seen["records"][0]["message"]
    assert said.startswith("deadlock: the handoff to Name waits for what can never complete\n")
    assert "\n  the tool ask waits for the tool ask\n" in said
    assert "\n" + at("ask calls in its own block here", "ask") + "\n" in said
    assert "\n" + at("ask waits for itself in its own block here", "again") + "\n" in said


def test_so_does_one_that_has_an_exit_stack_take_it_again(play: Play) -> None:
    seen = play(locks.the_same_lock_again_by_an_exit_stack, "report")
    assert (seen["over"], levels(seen)) == (False, ["ERROR"])
    assert seen["cycle"] == ["the tool ask waits for the tool ask"]


def test_deadlock_is_told_once_however_many_come_to_wait_for_it(play: Play) -> None:
    seen = play(locks.in_line_one_after_another, "report", after=0.1)
    assert (seen["over"], levels(seen)) == (False, ["ERROR"])
    said = seen["records"][0]["message"]
    assert said.startswith("deadlock: session.update_agent(Agent) waits for what can never complete\n")


def test_two_locks_that_two_tasks_take_in_opposite_order_are_a_deadlock(play: Play) -> None:
    seen = play(locks.two_locks_in_opposite_order, "report")
    assert (seen["over"], levels(seen)) == (False, ["ERROR"])
    assert len(seen["cycle"]) == 2  # the two of the gather()


@pytest.mark.parametrize(
    "program",
    [
        locks.waiting_to_be_notified,
        locks.a_holder_that_sleeps,
        locks.in_line_for_a_context_manager,
        locks.a_block_that_lets_go_for_a_while,
    ],
)
def test_wait_for_a_lock_that_ends_is_no_deadlock(program: Program, play: Play) -> None:
    seen = play(program, "report")
    assert (seen["over"], levels(seen)) == (True, ["WARNING"])


@pytest.mark.parametrize("program", [locks.a_semaphore, locks.acquired_by_hand])
def test_where_nobody_can_say_who_holds_it_the_wait_is_merely_long(program: Program, play: Play) -> None:
    seen = play(program, "report")
    assert (seen["over"], levels(seen), seen["cycle"]) == (False, ["WARNING"], [])


def test_lock_of_the_session_is_held_by_the_handoff_that_is_under_way(play: Play) -> None:
    seen = play(deadlocks.two_at_once, "report")
    assert (seen["over"], levels(seen)) == (False, ["ERROR"])
    waits = seen["records"][0]["json"]["deadlock"]["waits"]
    awaited = {wait["waits_for"] for wait in waits if wait["role"] == "handoff"}
    assert awaited & {wait["name"] for wait in waits if wait["role"] == "tool"}  # the tool that is in the other handoff
