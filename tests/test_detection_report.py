"""A change that waits for itself is logged once, with the lines of the user's own code; and ``resolve`` releases it.

What is only reported in the mode ``resolve``, and waited for, is checked by the scenarios that say ``reported``.
"""

from __future__ import annotations

import re

import pytest
from detecting import Play, Program, at, deadlock, levels, lines
from detection_programs import deadlocks, locks
from scenarios import upstream

ITSELF = "deadlock: the handoff to Name waits for itself"
NOTHING = "deadlock: the handoff to Name waits for what can never complete"
UPDATE, NEVER = "deadlock: session.update_agent({}) waits for ", "what can never complete"
ABORTS = "  none of these can complete; a time-out or a cancellation may abort it"
RESOLVE = "  set ONENTER_DEADLOCK_FIX_DETECT=resolve to let the handoff to Name go on without waiting for "


def test_deadlock_is_described_from_waiter_to_waiter_with_the_users_lines(play: Play) -> None:
    played = play(deadlocks.nested, "report")
    assert (played["over"], len(played["cycle"])) == (False, 5)
    assert lines(played, "ERROR") == [
        ITSELF,
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
    # and livekit-agents' JSON log has the same as data
    assert played["records"][0]["json"]["name"] == "onenter_deadlock_fix"
    waits = deadlock(played)["waits"]
    assert [wait["role"] for wait in waits] == ["tool", "handoff", "reply", "tool", "reply"]
    assert [wait["waits_for"] for wait in waits] == [wait["name"] for wait in [*waits[1:], waits[0]]]
    places = [at(*line).partition(": ")[0] for line in (("ask calls here", "ask"), ("ask waits here", "inner"))]
    assert [f"    at {place}" for place in waits[3].pop("lines")] == places
    assert waits[3] == {"role": "tool", "name": "the tool ask", "waits_for": waits[4]["name"]}
    assert waits[4] == {"role": "reply", "name": waits[3]["waits_for"], "waits_for": waits[0]["name"]}


@pytest.mark.parametrize(
    ("release", "fixed_in"), [(None, "1.3.6"), ("1.3.6", None), ("1.8.9", None), ("acme-build-7", None)]
)
def test_release_with_the_fix_is_named_on_older_releases(release: str | None, fixed_in: str | None, play: Play) -> None:
    played = play(deadlocks.pattern, "report", fix=False, release=release)
    assert (played["detection"], played["over"], len(played["cycle"])) == ("report", False, 4)
    assert deadlock(played)["fixed_in"] == fixed_in
    assert lines(played, "ERROR")[1:] == [
        "  the tool collect waits for the handoff to Name",
        at("collect waits here", "collect"),
        "  the handoff to Name waits for on_enter() of EagerDesk",
        "  on_enter() of EagerDesk waits for the reply SPEECH",
        at("on_enter waits here", "on_enter"),
        "  the reply SPEECH waits for the tool collect",
        ABORTS,
        *([f"  fixed in livekit-agents {fixed_in}"] if fixed_in else []),
        RESOLVE + "on_enter() of EagerDesk",
    ]


def test_no_release_is_named_that_fixes_only_a_part_of_it(play: Play) -> None:
    found = deadlock(play(deadlocks.pattern, "report", fix=False, tool="ask"))
    assert {"on_enter() of EagerDesk", "the tool ask"} < {wait["name"] for wait in found["waits"]}
    assert found["fixed_in"] is None


SPEECH = {"tool", "reply"}
HANDOFF = {*SPEECH, "handoff"}


@pytest.mark.parametrize(
    ("program", "first", "roles", "released"),
    [
        (deadlocks.nested, ITSELF, HANDOFF, "the reply SPEECH"),
        (deadlocks.mixed, ITSELF, HANDOFF, "the reply SPEECH; it still waits for the reply SPEECH"),
        (upstream.on_exit_awaits_a_reply, ITSELF, {*HANDOFF, "update_agent()", "on_exit"}, None),
        (deadlocks.two_at_once, ITSELF.replace("Name", "Name (ID)"), HANDOFF, None),
        (deadlocks.changing, UPDATE.format("Desk") + "itself", {*HANDOFF, "update_agent()"}, None),
        # a drain that waits for a cycle in which nothing drains
        (locks.in_line_one_after_another, UPDATE.format("Lobby") + NEVER, {*SPEECH, "update_agent()", "task"}, None),
    ],
)
def test_change_is_named_and_what_resolve_would_release(
    program: Program, first: str, roles: set[str], released: str | None, play: Play
) -> None:
    played = play(program, "report")
    record, data = lines(played, "ERROR"), deadlock(played)
    assert record[0] == first
    assert {wait["role"] for wait in data["waits"]} == roles
    assert data["can_release"] is (released is not None)
    assert [line for line in record if "=resolve" in line] == ([RESOLVE + released] if released else [])


def test_helper_task_is_named_with_its_own_line(play: Play) -> None:
    record = lines(play(deadlocks.helper, "report"), "ERROR")
    ask = record.index("  the tool ask waits for the task my helper")
    lines_of_ask = [at("ask calls here", "ask"), at("ask waits for its helper here", "helper")]
    named = ["  the task my helper waits for the reply SPEECH", at("ask waits here", "inner")]
    assert record[ask + 1 : ask + 5] == [*lines_of_ask, *named]


def test_first_of_many_waits_are_listed_and_the_lines_of_a_waiter_once(play: Play) -> None:
    played = play(deadlocks.wide, "report")
    record = lines(played, "ERROR")
    waits = 1 + 1 + 1 + 100 + 100 + 1  # of collect, the handoff, a reply, ask, the helpers, and the other reply
    assert f"  and {waits - 50} waits more" in record
    assert len(deadlock(played)["waits"]) == 50
    assert record.count(at("ask waits for a hundred here", "wide")) == 1


def test_handoff_that_takes_its_time_is_a_warning_and_no_deadlock(play: Play) -> None:
    played = play(deadlocks.slow, "report")
    first, *waits = lines(played, "WARNING")
    assert played["over"]
    assert re.fullmatch(r"the handoff to Name has waited for the reply SPEECH for 0\.\d s", first)
    assert waits == [
        "  the tool collect waits for the handoff to Name",
        at("collect waits here", "collect"),
        "  the handoff to Name waits for the reply SPEECH",
        "  the reply SPEECH waits for the tool ask",
        "  the tool ask",
        at("ask calls here", "ask"),
        at("ask sleeps here", "slow"),
    ]


def test_deadlock_is_reported_once_while_the_same_tasks_wait(play: Play) -> None:
    played = play(deadlocks.tried_again_and_again, "report")
    assert (played["over"], lines(played, "ERROR")[0]) == (False, ITSELF)


def test_deadlock_that_waits_for_another_one_besides_is_reported_and_released_too(play: Play) -> None:
    played = play(deadlocks.behind_another_one, "report")
    assert (played["over"], levels(played)) == (False, ["ERROR", "ERROR"])
    names = {re.sub(r" \(0x\w+\)", " (ID)", record["message"].partition("\n")[0]) for record in played["records"]}
    # both handoffs are in the record of the first one, and only itself is in that of the other one
    assert names == {f"deadlock: the handoff to Name{number} waits for itself" for number in (" (ID)", "")}
    assert play(deadlocks.behind_another_one, "resolve")["over"]


@pytest.mark.parametrize("begun_first", ["the handoff", "session.drain()"])
def test_deadlock_with_two_drains_on_it_is_reported_and_released_once(begun_first: str, play: Play) -> None:
    played = play(deadlocks.two_drains, "report", begun_first=begun_first)
    record = lines(played, "ERROR")
    assert not played["over"]
    assert record[0].startswith(f"deadlock: {begun_first}")
    assert {"handoff", "session.drain()"} < {wait["role"] for wait in deadlock(played)["waits"]}
    assert record[-1] == RESOLVE + "the reply SPEECH"
    played = play(deadlocks.two_drains, "resolve", begun_first=begun_first)
    assert (played["over"], levels(played)) == (True, ["ERROR", "WARNING"])


def test_handoff_goes_on_and_a_record_names_what_was_released(play: Play) -> None:
    played = play(deadlocks.nested, "resolve")
    assert (played["over"], levels(played)) == (True, ["ERROR", "WARNING"])
    deadlock, release = played["records"]
    assert deadlock["message"].startswith("deadlock: the handoff to Name waits for itself\n")
    assert "ONENTER_DEADLOCK_FIX_DETECT" not in deadlock["message"]
    reply = re.fullmatch(r"the handoff to Name no longer waits for (the reply speech_\w+)", release["message"])
    assert reply
    assert f"  the handoff to Name waits for {reply[1]}\n" in deadlock["message"]
    assert [wait["waits_for"] for wait in release["json"]["release"]["waits"]] == [reply[1]]


def test_detection_alone_releases_the_deadlock_that_the_shim_is_for(play: Play) -> None:
    played = play(deadlocks.pattern, "resolve", fix=False)
    assert (played["state"], played["detection"], played["over"]) == ("off", "resolve", True)
    assert levels(played) == ["ERROR", "WARNING"]
    assert played["records"][1]["message"] == "the handoff to Name no longer waits for on_enter() of EagerDesk"


def test_what_is_on_no_cycle_is_still_waited_for(play: Play) -> None:
    played = play(deadlocks.mixed, "resolve")  # which checks the order
    assert played["over"]
    deadlock, release = played["records"]
    said = r"the handoff to Name no longer waits for the reply speech_\w+, but still for the reply speech_\w+"
    assert re.fullmatch(said, release["message"])
    (waits,) = release["json"]["release"]["waits"]
    assert waits["waits_for"] in [wait["name"] for wait in deadlock["json"]["deadlock"]["waits"]]


@pytest.mark.parametrize(("mode", "releases"), [("report", 0), ("resolve", 1)])
def test_released_speech_that_goes_on_in_the_agent_task_delays_nobody(mode: str, releases: int, play: Play) -> None:
    played = play(deadlocks.times_out_in_the_agent_task, mode)
    assert played["over"]
    assert ["release" in record["json"] for record in played["records"]].count(True) == releases


def test_each_deadlock_is_released(play: Play) -> None:
    played = play(deadlocks.twice, "resolve")
    assert (played["over"], levels(played)) == (True, ["ERROR", "WARNING"] * 2)


# A task in the block of a lock holds it; where the holder can't be known, the wait is no deadlock. ``hangs_in_a_lock``
# and what follows it, and ``ends_with_an_event``, are scenarios.
@pytest.mark.parametrize(
    ("program", "first", "wait"),
    [
        (locks.a_condition_that_another_task_waits_in, ITSELF, "the tool ask waits for the tool collect"),
        (locks.a_condition_and_its_lock, ITSELF, "the tool ask waits for the tool collect"),
        (locks.notified_meanwhile, ITSELF, "the tool ask waits for the tool collect"),
        (locks.the_same_lock_twice, NOTHING, "the tool ask waits for the tool ask"),
        (locks.the_same_lock_again_by_an_exit_stack, NOTHING, "the tool ask waits for the tool ask"),
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
        (locks.in_line_in_a_context_manager, True),
        (locks.a_block_that_releases_its_lock_for_a_while, True),
        (locks.acquired_by_hand, False),
    ],
)
def test_wait_for_a_lock_that_ends_or_whose_holder_is_unknown_is_merely_long(
    program: Program, completes: bool, play: Play
) -> None:
    played = play(program, "report")
    assert (played["over"], levels(played), played["cycle"]) == (completes, ["WARNING"], [])
