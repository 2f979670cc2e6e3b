"""Hangs that have been reported in public, and others of their kind: each has a place and a reason at its end."""

from __future__ import annotations

import pytest
from detecting import Play, Program, at, deadlock, lines
from detection_programs import long_waits
from scenarios import in_public

UNSUBSCRIBED = (
    "  the reply SPEECH waits in livekit.agents.voice.room_io._output, capture_frame: "
    "nobody has subscribed to the audio track"
)
NEVER_SCHEDULED = (
    "  session.say() SPEECH waits in livekit.agents.voice.speech_handle, _wait_for_authorization: "
    "it was made while scheduling was paused, and nothing will schedule it"
)
PARKED = (
    "  the reply SPEECH waits in livekit.agents.voice.speech_handle, _wait_for_scheduled: "
    "it is a preemptive generation, which is scheduled or cancelled only at the user's next turn"
)
IN_AN_AGENT_TASK = "waits in livekit.agents.voice.agent, __await_impl: "
NO_TURN = f"{IN_AN_AGENT_TASK}it may need the user's next turn, which the run does not send"
DISPLACED = f"{IN_AN_AGENT_TASK}Lobby has taken its place, and no turn of the user reaches it"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (long_waits.nobody_has_subscribed, UNSUBSCRIBED),
        (
            long_waits.plugin_never_finishes,  # behind the channels that it writes to
            "  the task TTS._synthesize_task waits in acme_plugin, _run: the text-to-speech has not finished",
        ),
        (
            long_waits.plugin_never_closes,
            "  on_exit() of Leaving waits in acme_plugin, aclose: its aclose() has not finished",
        ),
    ],
)
def test_last_wait_in_the_library_or_a_plugin_has_a_place_and_a_reason(program: Program, line: str, play: Play) -> None:
    assert line in lines(play(program, "report"), "WARNING")


def test_run_behind_what_waits_in_the_library_is_reported(play: Play) -> None:
    played = play(long_waits.run_behind_what_nobody_hears, "report")
    first, *waits = lines(played, "WARNING")
    assert (played["over"], waits[-1]) == (False, UNSUBSCRIBED)
    assert first.startswith("session.run() has waited for the reply SPEECH for ")


def test_displaced_agent_task_is_reported_with_the_reason_and_is_no_deadlock(play: Play) -> None:
    played = play(long_waits.displaced, "report")
    first, *waits = lines(played, "WARNING")
    assert not played["over"]
    assert first.startswith("the AgentTask Ask has waited for ")
    assert waits == [
        "  the tool collect waits for the AgentTask Ask",
        at("collect awaits Ask here", "collect"),
        f"  the AgentTask Ask {DISPLACED}",
    ]


def test_next_deadlock_of_a_task_is_reported_after_its_displaced_agent_task(play: Play) -> None:
    played = play(long_waits.displaced, "report", completes=True)
    # on 1.3.5 and 1.3.6 the tool then closes the activity that its own reply is in
    assert not played["over"]
    errors = [record["message"].splitlines()[0] for record in played["records"] if record["level"] == "ERROR"]
    assert errors == ["deadlock: the close of the activity of Asking waits for itself"]


def test_agent_task_that_cannot_be_seen_to_be_awaited_is_not_reported_as_displaced(play: Play) -> None:
    played = play(long_waits.awaited_by_an_awaitable_of_the_users, "report")
    assert (played["over"], played["records"]) == (False, [])


def test_agent_task_that_the_library_awaits_is_traced_to_the_users_line(play: Play) -> None:
    waits = lines(play(long_waits.task_group_and_hang_up, "report"), "WARNING")
    assert waits[1:5] == [
        "  on_enter() of Survey waits for the AgentTask TaskGroup",
        at("on_enter awaits the group here", "on_enter"),
        "  the AgentTask TaskGroup waits for on_enter() of TaskGroup",
        "  on_enter() of TaskGroup waits for the AgentTask Ask",
    ]
    assert waits[5].endswith("the session is closed, and no turn of the user reaches it")


def test_run_that_leads_to_an_agent_task_that_needs_a_turn_is_reported_with_the_whole_path(play: Play) -> None:
    played = play(in_public.run_waits_for_the_next_turn_of_an_agent_that_is_entered, "report")
    first, *waits = lines(played, "WARNING")
    assert first.startswith("session.run() has waited for session.update_agent(Asking) for ")
    assert waits == [
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
        long_waits.run_with_slow_words,
        long_waits.run_with_a_long_playout,
        long_waits.run_with_a_moment_of_on_enter,
        long_waits.sibling_takes_its_speech_out_of_the_run,
    ],
)
def test_run_that_waits_for_what_goes_on_is_not_reported(program: Program, play: Play) -> None:
    played = play(program, "report")
    assert (played["over"], played["records"]) == (True, [])


@pytest.mark.parametrize("mode", ["report", "resolve"])
def test_parked_preemptive_generation_is_a_wait_for_the_users_next_turn(mode: str, play: Play) -> None:
    first, *waits = lines(play(in_public.park, mode), "WARNING")
    assert first.startswith("the handoff to Name has waited for the reply SPEECH for ")
    assert waits[-1] == PARKED
    assert play(in_public.park, mode, caller_goes_on=True)["over"]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            in_public.a_tool_speaks_during_the_hand_over,
            [
                "deadlock: the handoff back from Name waits for what can never complete",
                at("collect awaits its AgentTask here", "collect"),
                NEVER_SCHEDULED,
                "  set ONENTER_DEADLOCK_FIX_DETECT=resolve to let the handoff back from Name go on "
                "without waiting for session.say() SPEECH",
            ],
        ),
        (
            in_public.on_enter_of_the_agent_task_closes_the_session,
            [
                "deadlock: the AgentTask Task waits for what can never complete",
                at("collect awaits its AgentTask here", "collect"),
                "  on_enter() of Task waits for session.aclose()",
                at("on_enter closes here", "on_enter"),
                "  session.aclose() waits for on_enter() of Task",
            ],
        ),
        (
            in_public.a_tool_speaks_until_it_is_over,
            [
                "deadlock: the handoff to Name waits for itself",
                at("collect awaits Name here", "collect"),
                "  the handoff to Name waits for session.say() SPEECH",
                at("the words wait here", "words"),
            ],
        ),
    ],
)
def test_deadlock_has_these_lines_in_this_order(program: Program, expected: list[str], play: Play) -> None:
    record = lines(play(program, "report"), "ERROR")
    assert [line for line in record if line in expected] == expected
    assert "  session.aclose() waits for session.aclose()" not in record


@pytest.mark.parametrize(("release", "fixed_in"), [("1.3.5", "1.6.1"), ("1.6.0", "1.6.1"), ("1.6.1", None)])
def test_close_before_an_agent_task_is_fixed_in_1_6_1(release: str, fixed_in: str | None, play: Play) -> None:
    played = play(in_public.closed_before_on_enter_awaits_an_agent_task, "report", after=0.5, release=release)
    record = lines(played, "ERROR")
    assert record[0] == "deadlock: session.aclose() waits for itself"
    assert at("on_enter awaits Name here", "on_enter") in record
    assert (f"  fixed in livekit-agents {fixed_in}" in record) is bool(fixed_in)
    assert deadlock(played)["fixed_in"] == fixed_in
