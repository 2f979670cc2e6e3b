"""In the mode ``report``, a handoff that waits for itself is logged with the lines of the user's own code, once."""

from __future__ import annotations

import re
from typing import Any, Callable

import pytest
from detecting import at, place
from detection_programs import deadlocks

Play = Callable[..., Any]
Program = Callable[..., Any]


def without_chance(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "ID", re.sub(r"speech_\w+", "SPEECH", text))


ABORTS = "  none of these can complete; a time-out or a cancellation may abort it"
RESOLVE = "  set ONENTER_DEADLOCK_FIX_DETECT=resolve to let the handoff to Name go on without waiting for "


def only_record(seen: Any, level: str) -> Any:
    (record,) = seen["records"]
    assert record["level"] == level
    return record


def test_deadlock_is_named_from_waiter_to_waiter_with_the_users_lines(play: Play) -> None:
    seen = play(deadlocks.nested, "report")
    assert (seen["over"], len(seen["cycle"])) == (False, 5)  # it is this deadlock
    said = without_chance(only_record(seen, "ERROR")["message"])
    assert said.splitlines() == [
        "deadlock: the handoff to Name waits for itself",
        "  the tool collect waits for the handoff to Name",
        at("collect waits here", "collect"),
        "  the handoff to Name waits for the reply SPEECH",
        "  the reply SPEECH waits for the tool ask",
        "  the tool ask waits for the reply SPEECH",
        at("ask calls here", "ask"),
        at("ask waits here", "inner"),
        "  the reply SPEECH waits for the tool collect",
        ABORTS,
        RESOLVE + "the reply SPEECH",
    ]


def test_release_that_is_cured_is_named_where_it_is_known(play: Play) -> None:
    seen = play(deadlocks.pattern, "report", fix=False)
    assert (seen["state"], seen["detection"], seen["over"], len(seen["cycle"])) == ("off", "report", False, 4)
    said = without_chance(only_record(seen, "ERROR")["message"])
    assert said.splitlines()[1:] == [
        "  the tool collect waits for the handoff to Name",
        at("collect waits here", "collect"),
        "  the handoff to Name waits for on_enter() of EagerDesk",
        "  on_enter() of EagerDesk waits for the reply SPEECH",
        at("on_enter waits here", "on_enter"),
        "  the reply SPEECH waits for the tool collect",
        ABORTS,
        "  fixed in livekit-agents 1.3.6",
        RESOLVE + "on_enter() of EagerDesk",
    ]


def test_no_release_is_named_where_only_a_part_of_it_is_cured(play: Play) -> None:
    seen = play(deadlocks.pattern_and_nested, "report", fix=False)
    assert seen["cycle"]
    told = only_record(seen, "ERROR")["json"]["deadlock"]
    assert told["fixed_in"] is None
    assert {"on_enter() of Asking", "the tool ask"} < {wait["name"] for wait in told["waits"]}


def test_json_log_of_livekit_agents_has_the_same_as_data(play: Play) -> None:
    told = only_record(play(deadlocks.nested, "report"), "ERROR")["json"]
    assert told["name"] == "onenter_deadlock_fix"
    assert told["deadlock"]["fixed_in"] is None
    assert told["deadlock"]["can_release"] is True
    waits = told["deadlock"]["waits"]
    assert [wait["role"] for wait in waits] == ["tool", "handoff", "reply", "tool", "reply"]
    assert [wait["waits_for"] for wait in waits] == [wait["name"] for wait in [*waits[1:], waits[0]]]
    file, line, _ = place("ask waits here")
    places = waits[3].pop("lines")
    assert waits[3] == {"role": "tool", "name": "the tool ask", "waits_for": waits[4]["name"]}
    assert places[-1] == f"{file}:{line} in inner"
    assert waits[4] == {"role": "reply", "name": waits[3]["waits_for"], "waits_for": waits[0]["name"]}


def test_helper_task_is_named_with_its_own_line(play: Play) -> None:
    said = without_chance(only_record(play(deadlocks.helper, "report"), "ERROR")["message"])
    assert (
        "\n  the tool ask waits for the task my helper\n"
        + at("ask calls here", "ask")
        + "\n"
        + at("ask waits for its helper here", "wait")
        + "\n"
    ) in said
    assert "\n  the task my helper waits for the reply SPEECH\n" + at("ask waits here", "inner") + "\n" in said


def test_of_many_waits_the_first_are_told_and_the_place_of_a_waiter_once(play: Play) -> None:
    record = only_record(play(deadlocks.wide, "report"), "ERROR")
    waits = 1 + 1 + 1 + 100 + 100 + 1  # of collect, the handoff, a reply, ask, the helpers, and the other reply
    assert f"\n  and {waits - 50} waits more\n" in record["message"]
    assert len(record["json"]["deadlock"]["waits"]) == 50
    assert record["message"].count(at("ask waits for a hundred here", "wait")) == 1


@pytest.mark.parametrize(
    ("program", "name", "roles"),
    [
        (deadlocks.closing, "the handoff to Name", {"session.drain()", "on_exit", "reply", "tool", "handoff"}),
        (deadlocks.changing, "session.update_agent(Desk)", {"update_agent()", "reply", "tool", "handoff"}),
        (deadlocks.two_at_once, "the handoff to Name (ID)", {"reply", "tool", "handoff"}),
    ],
)
def test_every_kind_of_drain_is_looked_at(program: Program, name: str, roles: set[str], play: Play) -> None:
    seen = play(program, "report")
    assert not seen["over"]
    assert seen["cycle"]
    record = only_record(seen, "ERROR")
    assert without_chance(record["message"]).startswith(f"deadlock: {name} waits for itself\n")
    assert {wait["role"] for wait in record["json"]["deadlock"]["waits"]} == roles


def test_tools_of_the_same_name_are_told_apart(play: Play) -> None:
    waits = only_record(play(deadlocks.two_at_once, "report"), "ERROR")["json"]["deadlock"]["waits"]
    tools = [wait["name"] for wait in waits if wait["role"] == "tool"]
    assert len(tools) == len(set(tools)) == 2
    assert {without_chance(tool) for tool in tools} == {"the tool collect (ID)"}


def test_drain_that_waits_for_a_cycle_in_which_nothing_drains_is_a_deadlock_too(play: Play) -> None:
    seen = play(deadlocks.behind, "report")
    assert seen["cycle"] == ["the tool ask waits for the tool ask"]
    said = without_chance(only_record(seen, "ERROR")["message"])
    assert said.splitlines() == [
        "deadlock: session.drain() waits for what can never complete",
        "  session.drain() waits for the reply SPEECH",
        at("drains here", "behind"),
        "  the reply SPEECH waits for the tool ask",
        "  the tool ask waits for the tool ask",
        at("ask calls here", "ask"),
        at("ask waits for itself here", "wait"),
        ABORTS,
    ]


def test_handoff_that_takes_its_time_is_a_warning_and_no_deadlock(play: Play) -> None:
    seen = play(deadlocks.slow, "report")
    assert seen["over"]
    record = only_record(seen, "WARNING")
    first, *lines = without_chance(record["message"]).splitlines()
    assert re.fullmatch(r"the handoff to Name has waited for the reply SPEECH for 0\.\d s", first)
    assert lines == [
        "  the tool collect waits for the handoff to Name",
        at("collect waits here", "collect"),
        "  the handoff to Name waits for the reply SPEECH",
        "  the reply SPEECH waits for the tool ask",
        "  the tool ask",
        at("ask calls here", "ask"),
        at("ask sleeps here", "wait"),
    ]
    assert not record["message"].startswith("deadlock")


def test_cycle_that_only_a_time_out_will_end_is_a_deadlock(play: Play) -> None:
    seen = play(deadlocks.timed, "report")
    assert seen["over"]
    waits = only_record(seen, "ERROR")["json"]["deadlock"]["waits"]
    assert [wait["role"] for wait in waits] == ["tool", "handoff", "reply", "tool", "reply"]


def test_handoff_that_nothing_holds_up_is_not_logged(play: Play) -> None:
    seen = play(deadlocks.quick, "report", after=5)
    assert (seen["over"], seen["records"]) == (True, [])


def test_deadlock_that_goes_on_is_logged_once(play: Play) -> None:
    seen = play(deadlocks.nested, "report", after=0.05)  # some hundred looks
    assert len(seen["records"]) == 1


def test_deadlock_that_waits_for_another_one_besides_is_told_and_let_go_too(play: Play) -> None:
    seen = play(deadlocks.behind_another_one, "report")
    assert (seen["over"], [record["level"] for record in seen["records"]]) == (False, ["ERROR", "ERROR"])
    told = {without_chance(record["message"]).partition("\n")[0] for record in seen["records"]}
    # both handoffs are in the record of the first one, and in that of the other one is only itself
    assert told == {f"deadlock: the handoff to Name{one} waits for itself" for one in (" (ID)", "")}
    assert play(deadlocks.behind_another_one, "resolve")["over"]


@pytest.mark.parametrize("begun_first", ["the handoff", "session.drain()"])
def test_deadlock_with_two_drains_on_it_is_logged_once_with_what_resolve_would_do(begun_first: str, play: Play) -> None:
    seen = play(deadlocks.two_drains, "report", begun_first=begun_first)
    assert not seen["over"]
    record = only_record(seen, "ERROR")
    assert record["message"].startswith(f"deadlock: {begun_first}")
    assert {"handoff", "session.drain()"} < {wait["role"] for wait in record["json"]["deadlock"]["waits"]}
    assert without_chance(record["message"]).splitlines()[-1] == RESOLVE + "the reply SPEECH"


@pytest.mark.parametrize("begun_first", ["the handoff", "session.drain()"])
def test_deadlock_with_two_drains_on_it_is_resolved_whichever_is_looked_at_first(begun_first: str, play: Play) -> None:
    seen = play(deadlocks.two_drains, "resolve", begun_first=begun_first)
    assert (seen["over"], [record["level"] for record in seen["records"]]) == (True, ["ERROR", "WARNING"])


def test_what_a_handoff_would_still_wait_for_is_said(play: Play) -> None:
    record = only_record(play(deadlocks.mixed, "report"), "ERROR")
    assert without_chance(record["message"]).splitlines()[-1] == (
        RESOLVE + "the reply SPEECH; it still waits for the reply SPEECH"
    )
    assert record["json"]["deadlock"]["can_release"] is True


@pytest.mark.parametrize("program", [deadlocks.closing, deadlocks.changing, deadlocks.two_at_once, deadlocks.behind])
def test_nothing_is_said_of_resolve_where_it_would_do_nothing(program: Program, play: Play) -> None:
    record = only_record(play(program, "report"), "ERROR")
    assert "=resolve" not in record["message"]
    assert record["json"]["deadlock"]["can_release"] is False


@pytest.mark.parametrize("program", [deadlocks.nested, deadlocks.closing, deadlocks.behind, deadlocks.second_in_line])
def test_no_release_is_named_where_none_is_cured(program: Program, play: Play) -> None:
    record = only_record(play(program, "report"), "ERROR")
    assert "fixed in" not in record["message"]
    assert record["json"]["deadlock"]["fixed_in"] is None


@pytest.mark.parametrize("release", ["1.3.6", "1.8.9", "acme-build-7"])
def test_release_that_is_cured_is_not_named_on_itself_and_later(release: str, play: Play) -> None:
    record = only_record(play(deadlocks.pattern, "report", fix=False, release=release), "ERROR")
    assert "fixed in" not in record["message"]


def test_nothing_is_logged_while_detection_is_off(play: Play) -> None:
    seen = play(deadlocks.nested, "off")
    assert (seen["over"], len(seen["cycle"]), seen["records"]) == (False, 5, [])
