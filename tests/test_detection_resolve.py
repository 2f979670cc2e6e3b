"""In the mode ``resolve``, a handoff to an AgentTask that waits for itself goes on; nothing else is touched."""

from __future__ import annotations

import re
from typing import Any, Callable

import pytest
from detection_programs import deadlocks

Play = Callable[..., Any]
Program = Callable[..., Any]


def test_handoff_goes_on_and_it_is_said_what_was_let_go(play: Play) -> None:
    seen = play(deadlocks.nested, "resolve")
    assert seen["over"]
    deadlock, let_go = seen["records"]
    assert deadlock["message"].startswith("deadlock: the handoff to Name waits for itself\n")
    assert "ONENTER_DEADLOCK_FIX_DETECT" not in deadlock["message"]
    assert let_go["level"] == "WARNING"
    said = r"the handoff to Name no longer waits for the reply (speech_\w+)"
    reply = re.fullmatch(said, let_go["message"])
    assert reply
    assert f"  the handoff to Name waits for the reply {reply[1]}\n" in deadlock["message"]
    assert [wait["waits_for"] for wait in let_go["json"]["release"]["waits"]] == [f"the reply {reply[1]}"]


def test_detection_alone_takes_the_deadlock_out_that_the_shim_is_for(play: Play) -> None:
    seen = play(deadlocks.pattern, "resolve", fix=False)
    assert (seen["state"], seen["detection"], seen["over"]) == ("off", "resolve", True)
    assert [record["level"] for record in seen["records"]] == ["ERROR", "WARNING"]
    assert seen["records"][1]["message"].endswith("the handoff to Name no longer waits for on_enter() of EagerDesk")


def test_what_is_on_no_cycle_is_still_waited_for(play: Play) -> None:
    seen = play(deadlocks.mixed, "resolve")  # which looks at the order
    assert seen["over"]
    deadlock, let_go = seen["records"]
    assert re.fullmatch(
        r"the handoff to Name no longer waits for the reply speech_\w+, but still for the reply speech_\w+",
        let_go["message"],
    )
    (waits,) = let_go["json"]["release"]["waits"]
    assert waits["waits_for"] in [wait["name"] for wait in deadlock["json"]["deadlock"]["waits"]]


@pytest.mark.parametrize("mode", ["report", "resolve"])
def test_speech_that_was_let_go_and_has_more_to_say_in_the_agent_task_keeps_nobody_waiting(
    mode: str, play: Play
) -> None:
    seen = play(deadlocks.times_out_in_the_agent_task, mode)
    assert seen["over"]
    assert ["release" in record["json"] for record in seen["records"]].count(True) == (1 if mode == "resolve" else 0)


def test_each_deadlock_is_let_go(play: Play) -> None:
    seen = play(deadlocks.twice, "resolve")
    assert seen["over"]
    assert [record["level"] for record in seen["records"]] == ["ERROR", "WARNING"] * 2


def test_handoff_that_hangs_already_is_let_go_when_detection_is_asked_for(play: Play) -> None:
    seen = play(deadlocks.asked_for_later, "off")
    assert (seen["over"], seen["detection"]) == (True, "resolve")
    assert [record["level"] for record in seen["records"]] == ["ERROR", "WARNING"]


@pytest.mark.parametrize("program", [deadlocks.closing, deadlocks.changing, deadlocks.two_at_once])
def test_other_drains_and_a_cycle_through_the_sessions_lock_are_only_reported(program: Program, play: Play) -> None:
    seen = play(program, "resolve")
    assert not seen["over"]
    assert seen["cycle"]
    (record,) = seen["records"]
    assert record["level"] == "ERROR"
    assert record["json"]["deadlock"]["can_release"] is False


def test_handoff_that_takes_its_time_is_waited_for(play: Play) -> None:
    seen = play(deadlocks.slow, "resolve")
    assert seen["over"]
    assert [record["level"] for record in seen["records"]] == ["WARNING"]
    assert " has waited for " in seen["records"][0]["message"]
