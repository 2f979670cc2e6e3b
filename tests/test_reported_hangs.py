"""Hangs that were reported in public, which are scenarios: each is told for what it is, with the user's lines."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detecting import at, lines
from detection_programs import runs
from scenarios import in_public

Play = Callable[..., Any]

UNSCHEDULED = "waits in livekit.agents.voice.speech_handle, "
NEVER_SCHEDULED = (
    f"{UNSCHEDULED}_wait_for_authorization: it was made while scheduling was paused, and nothing will schedule it"
)
PARKED = f"{UNSCHEDULED}_wait_for_scheduled: a preemptive generation is parked, and ends only with the user's next turn"
NO_TURN = (
    "waits in livekit.agents.voice.agent, __await_impl: it may need the user's next turn, which the run does not send"
)


def test_speech_made_while_scheduling_was_paused_is_a_dead_end(play: Play) -> None:
    told = lines(play(in_public.a_tool_speaks_during_the_hand_over, "report"), "ERROR")
    assert told[0] == "deadlock: the handoff back from Name waits for what can never complete"
    assert at("collect awaits its AgentTask here", "collect") in told
    assert f"  session.say() SPEECH {NEVER_SCHEDULED}" in told
    advice = "to let the handoff back from Name go on without waiting for session.say() SPEECH"
    assert told[-1] == f"  set ONENTER_DEADLOCK_FIX_DETECT=resolve {advice}"


@pytest.mark.parametrize("mode", ["report", "resolve"])
def test_parked_preemptive_generation_is_a_wait_for_the_users_next_turn(mode: str, play: Play) -> None:
    first, *told = lines(play(in_public.a_preemptive_generation_is_parked, mode), "WARNING")
    assert first.startswith("the handoff to Name has waited for the reply SPEECH for ")
    assert told[-1] == f"  the reply SPEECH {PARKED}"
    assert play(in_public.park, mode, caller_goes_on=True)["over"]


def test_on_enter_that_closes_the_session_is_told_with_both_lines(play: Play) -> None:
    told = lines(play(in_public.on_enter_of_the_agent_task_closes_the_session, "report"), "ERROR")
    assert told[0] == "deadlock: the AgentTask Task waits for what can never complete"
    assert at("on_enter closes here", "on_enter") in told
    assert at("collect awaits its AgentTask here", "collect") in told
    assert "  on_enter() of Task waits for session.aclose()" in told
    assert "  session.aclose() waits for on_enter() of Task" in told
    assert "  session.aclose() waits for session.aclose()" not in told


def test_run_that_leads_to_an_agent_task_that_needs_a_turn_is_told_with_the_whole_way_down(play: Play) -> None:
    seen = play(in_public.run_waits_for_the_next_turn_of_an_agent_that_is_entered, "report")
    first, *told = lines(seen, "WARNING")
    assert first.startswith("session.run() has waited for session.update_agent(Asking) for ")
    assert told == [
        "  session.run() waits for session.update_agent(Asking)",
        at("the test runs here", "run_waits_for_the_next_turn_of_an_agent_that_is_entered"),
        at("the run is awaited here", "run"),
        "  session.update_agent(Asking) waits for on_enter() of Asking",
        "  on_enter() of Asking waits for the AgentTask Name",
        at("on_enter awaits Name, which needs a turn, here", "on_enter"),
        f"  the AgentTask Name {NO_TURN}",
    ]


@pytest.mark.parametrize(
    "program",
    [
        in_public.run_waits_for_a_slow_tool,
        runs.run_with_slow_words,
        runs.run_with_a_long_playout,
        runs.run_with_a_moment_of_on_enter,
    ],
)
def test_run_that_waits_for_what_goes_on_is_not_told(program: Callable[..., Any], play: Play) -> None:
    seen = play(program, "report")
    assert (seen["over"], seen["records"]) == (True, [])


@pytest.mark.parametrize(("release", "is_named"), [("1.3.5", True), ("1.6.0", True), ("1.6.1", False)])
def test_close_before_an_agent_task_is_cured_by_1_6_1_and_not_before(release: str, is_named: bool, play: Play) -> None:
    seen = play(in_public.closed_before_on_enter_awaits_an_agent_task, "report", after=0.5, release=release)
    told = lines(seen, "ERROR")
    assert told[0] == "deadlock: session.aclose() waits for itself"
    assert at("on_enter awaits Name here", "on_enter") in told
    assert ("  fixed in livekit-agents 1.6.1" in told) is is_named
    assert seen["records"][0]["json"]["deadlock"]["fixed_in"] == ("1.6.1" if is_named else None)


def test_speech_that_goes_on_until_the_tool_is_over_is_told_by_its_name(play: Play) -> None:
    told = lines(play(in_public.a_tool_speaks_until_it_is_over, "report"), "ERROR")
    assert told[0] == "deadlock: the handoff to Name waits for itself"
    assert "  the handoff to Name waits for session.say() SPEECH" in told
    assert at("collect awaits Name here", "collect") in told
    assert at("the words wait here", "words") in told


def test_close_that_one_of_its_own_tools_waits_for_is_told(play: Play) -> None:
    told = lines(play(runs.closed_by_own_tool, "report"), "ERROR")
    assert told[0] == "deadlock: session.aclose() waits for itself"
    assert at("ask closes here", "wait") in told
    assert not any("resolve" in line for line in told)


def test_two_closes_at_once_are_told_apart(play: Play) -> None:
    seen = play(runs.closed_twice_at_once, "report")
    assert seen["over"]
    # the record of the close that waits for the other one
    told = max((record["json"]["wait"]["waits"] for record in seen["records"]), key=len)
    waits = {wait["name"]: wait.get("waits_for") for wait in told}
    closes = [name for name in waits if name.startswith("session.aclose() (")]
    assert len(closes) == 2
    assert [waits[name] for name in closes] == [closes[1], "on_enter() of Host"]
