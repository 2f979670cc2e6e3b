"""Detection works in event loops and logging of the program's own, when it is switched, and after its own errors.

A check calls no method of the user's objects, whatever they are and wherever they are.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
from detecting import Play, Program, levels
from detection_programs import deadlocks, locks, odd_objects, surroundings

DEADLOCK = "deadlock: the handoff to Name waits for itself"
ERROR = "an error while checking the changes of an agent, which are left alone"
UNWATCHED = "changes of an agent can't be watched in this event loop"
IS_OLDER = pytest.mark.skipif(sys.version_info >= (3, 14), reason="nest_asyncio is older than this Python")


def first_lines(played: Any) -> list[str]:
    return [record["message"].splitlines()[0] for record in played["records"]]


@pytest.mark.parametrize(
    ("program", "mode", "is_over", "expected"),
    [
        (deadlocks.nested, "report", False, ["ERROR"]),
        (deadlocks.nested, "resolve", True, ["ERROR", "WARNING"]),
        (deadlocks.slow, "resolve", True, ["WARNING"]),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [
        "asyncio",
        "debug",
        pytest.param("nested", marks=IS_OLDER),
        pytest.param("uvloop", marks=pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop")),
        pytest.param("eager", marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")),
    ],
)
def test_any_kind_of_event_loop_is_watched(
    kind: str, program: Program, mode: str, is_over: bool, expected: list[str], play: Play
) -> None:
    played = play(program, mode, loop=kind)
    assert (played["over"], levels(played)) == (is_over, expected)
    assert len(played["cycle"]) == (0 if is_over else 5)


@IS_OLDER
@pytest.mark.parametrize(
    ("program", "loop"),
    [(surroundings.nest_asyncio_is_applied_meanwhile, "virtual"), (surroundings.runs_in_a_run, "nested")],
)
def test_deadlock_is_reported_where_loops_are_nested(program: Program, loop: str, play: Play) -> None:
    played = play(program, "report", loop=loop)
    assert (first_lines(played), played["errors"]) == ([DEADLOCK], [])


@pytest.mark.parametrize(
    ("first", "lines"),
    [
        (surroundings.quick_twice, [UNWATCHED, "both handoffs are over", DEADLOCK]),
        (deadlocks.nested, [UNWATCHED, DEADLOCK]),
    ],
)
def test_event_loop_that_cannot_be_watched_changes_nothing_and_is_named_in_the_status(
    first: Program, lines: list[str], play: Play
) -> None:
    played = play(surroundings.one_that_cannot_be_watched, "report", first=first)
    assert (first_lines(played), played["detection"]) == (lines, "report")
    assert "changes can't be watched in 1 event loop(s) of this process" in played["result"]


def test_event_loops_of_several_threads_are_each_watched(play: Play) -> None:
    played = play(surroundings.one_each_in_two_threads, "report", loop="asyncio")
    assert (played["over"], levels(played)) == (True, ["ERROR", "ERROR"])


@pytest.mark.parametrize(
    ("program", "mode", "calls", "expected"),
    [
        (deadlocks.nested, "resolve", 1, ["ERROR", "WARNING"]),
        (deadlocks.slow, "report", 1, ["WARNING"]),
        (deadlocks.nested, "report", 2, ["ERROR", "ERROR"]),
    ],
)
def test_record_is_logged_in_the_context_of_the_task_that_waits(
    program: Program, mode: str, calls: int, expected: list[str], play: Play
) -> None:
    played = play(surroundings.filtered, mode, inner=program, calls=calls)
    assert levels(played) == expected
    assert {record["json"]["call_id"] for record in played["records"]} == {f"call-{number}" for number in range(calls)}


def test_deadlock_is_logged_as_soon_as_the_logger_takes_it(play: Play) -> None:
    played = play(surroundings.disabled_at_first, "report")
    assert (played["over"], first_lines(played)) == (False, [DEADLOCK])


@pytest.mark.parametrize(("mode", "times"), [("report", 1), ("resolve", math.inf)])
def test_deadlock_is_logged_once_and_released_though_a_handler_raises(mode: str, times: float, play: Play) -> None:
    played = play(surroundings.failing_handler, mode, inner=deadlocks.nested, times=times)
    assert (played["over"], played["errors"]) == (mode == "resolve", [])
    first, *_, last = first_lines(played)
    assert (first, last, len(played["records"])) == (DEADLOCK, ERROR, 3 if mode == "resolve" else 2)


def test_console_of_livekit_agents_prints_the_text_at_80_columns_and_not_the_data(play: Play) -> None:
    played = play(surroundings.on_the_console, "report")
    printed = " ".join(played["result"].split())
    assert first_lines(played) == [DEADLOCK]
    assert DEADLOCK in printed
    assert "[/calm]" in printed  # which rich takes for markup
    assert "can_release" not in printed


def test_record_is_printed_where_the_program_has_no_handler(play: Play) -> None:
    assert play(surroundings.without_handlers, "report")["result"].count(DEADLOCK) == 1


@pytest.mark.parametrize(
    ("calls", "logged"),
    [
        (["report", "report"], [["ERROR"], []]),
        (["report", "resolve"], [["ERROR"], ["WARNING"]]),
        (["report", "off", "resolve"], [["ERROR"], [], ["ERROR", "WARNING"]]),
        (["off", "resolve", "report"], [[], ["ERROR", "WARNING"], []]),
    ],
)
def test_handoff_that_hangs_already_is_treated_by_the_mode_that_is_set(
    calls: list[str], logged: list[list[str]], play: Play
) -> None:
    played = play(surroundings.switched, "off", calls=calls)
    assert (played["result"], played["detection"]) == (logged, calls[-1])


@pytest.mark.parametrize(("call", "logged"), [("deactivate", ["WARNING"]), ("off", [])])
def test_nothing_is_logged_once_detection_is_off(call: str, logged: list[str], play: Play) -> None:
    played = play(surroundings.switched, "report", after=0.7, calls=[call])
    assert (played["result"], played["detection"]) == ([logged], "off")


@pytest.mark.parametrize(("mode", "times"), [("report", 1), ("report", 100), ("resolve", 2)])
def test_error_in_checks_is_logged_once_and_the_next_check_is_made(mode: str, times: int, play: Play) -> None:
    played = play(surroundings.checks_fail, mode, times=times)
    assert (played["over"], first_lines(played)[:2], played["errors"]) == (mode == "resolve", [ERROR, DEADLOCK], [])
    assert len(played["records"]) == (3 if mode == "resolve" else 2)


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
