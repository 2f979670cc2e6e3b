"""What was found is logged where the program's own logging can take it, and counted as logged only then."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detecting import at
from detection_programs import logging_of_ones_own

Play = Callable[..., Any]

ERROR = "an error while checking the changes of an agent, which are left alone"


def levels(seen: Any) -> list[str]:
    return [record["level"] for record in seen["records"]]


@pytest.mark.parametrize(("mode", "expected"), [("report", ["ERROR"]), ("resolve", ["ERROR", "WARNING"])])
def test_deadlock_is_logged_in_the_context_of_the_task_that_hangs(mode: str, expected: list[str], play: Play) -> None:
    seen = play(logging_of_ones_own.filtered, mode, of="deadlock")
    assert levels(seen) == expected
    assert {record["json"]["call_id"] for record in seen["records"]} == {"call-17"}


def test_wait_is_logged_in_the_context_of_the_task_that_waits(play: Play) -> None:
    seen = play(logging_of_ones_own.filtered, "report", of="wait")
    assert levels(seen) == ["WARNING"]
    assert seen["records"][0]["json"]["call_id"] == "call-17"


def test_two_calls_in_one_event_loop_are_logged_each_in_its_own_context(play: Play) -> None:
    seen = play(logging_of_ones_own.filtered_in_two_calls, "report")
    assert levels(seen) == ["ERROR", "ERROR"]
    assert {record["json"]["call_id"] for record in seen["records"]} == {"call-1", "call-2"}


@pytest.mark.parametrize("how", ["logger", "level", "process"])
def test_deadlock_comes_as_soon_as_the_logger_takes_it(how: str, play: Play) -> None:
    seen = play(logging_of_ones_own.disabled_at_first, "report", how=how)
    assert (seen["over"], levels(seen)) == (False, ["ERROR"])
    assert seen["records"][0]["message"].startswith("deadlock: ")


def test_deadlock_counts_as_logged_where_a_handler_raises(play: Play) -> None:
    seen = play(logging_of_ones_own.failing_at_first, "report", times=1)
    assert [record["message"].splitlines()[0] for record in seen["records"]] == [ERROR]
    assert seen["errors"] == []


def test_handoff_is_let_go_though_a_handler_always_raises(play: Play) -> None:
    seen = play(logging_of_ones_own.failing_always, "resolve")
    assert (seen["over"], seen["errors"]) == (True, [])


@pytest.mark.parametrize("tool", ["look_up", "confirm", "note_down"])
def test_tool_is_told_by_the_whole_way_through_the_code_that_three_share(tool: str, play: Play) -> None:
    (record,) = play(logging_of_ones_own.shared_by_three_tools, "report", tool=tool)["records"]
    way = [at(f"{tool} calls here", tool), at("all of them wait here", "shared")]
    lines = record["message"].splitlines()
    name = next(number for number, line in enumerate(lines) if line.startswith(f"  the tool {tool} waits for "))
    assert lines[name + 1 : name + 3] == way
    (waits,) = (wait for wait in record["json"]["deadlock"]["waits"] if wait["name"] == f"the tool {tool}")
    assert [f"    at {place}" for place in waits["lines"]] == [line.partition(": ")[0] for line in way]


def test_console_of_livekit_agents_prints_the_text_at_80_columns_and_not_the_data(play: Play) -> None:
    seen = play(logging_of_ones_own.on_the_console, "report")
    assert levels(seen) == ["ERROR"]
    printed = " ".join(seen["result"].split())
    assert "deadlock: the handoff to Name waits for itself" in printed
    assert "[/calm]" in printed  # which rich takes for markup
    assert "can_release" not in printed


def test_record_is_printed_where_the_program_has_no_handler(play: Play) -> None:
    seen = play(logging_of_ones_own.without_handlers, "report")
    assert seen["result"].count("deadlock: the handoff to Name waits for itself") == 1
