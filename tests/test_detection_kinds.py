"""What strangers' programs have shown: each kind of hang has a place and a reason, and is reported once."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detecting import at, lines
from detection_programs import strangers

Play = Callable[..., Any]
Program = Callable[..., Any]

UNSUBSCRIBED = (
    "  the reply SPEECH waits in livekit.agents.voice.room_io._output, capture_frame: "
    "nobody has subscribed to the audio track"
)


def test_end_of_a_way_in_the_library_has_a_place_and_a_reason(play: Play) -> None:
    assert lines(play(strangers.nobody_has_subscribed, "report"), "WARNING")[-1] == UNSUBSCRIBED


def test_plugin_that_never_finishes_is_found_behind_the_channels_that_it_writes_to(play: Play) -> None:
    said = lines(play(strangers.plugin_never_finishes, "report"), "WARNING")
    end = "waits in acme_plugin, _run: the text-to-speech has not finished"
    assert f"  the task TTS._synthesize_task {end}" in said


def test_installed_plugin_that_never_closes_is_named_by_module_and_function(play: Play) -> None:
    said = lines(play(strangers.plugin_never_closes, "report"), "WARNING")
    assert "  on_exit() of Leaving waits in acme_plugin, aclose: its aclose() has not finished" in said


def test_run_behind_what_waits_in_the_library_is_reported(play: Play) -> None:
    seen = play(strangers.nobody_has_subscribed_in_a_run, "report")
    first, *said = lines(seen, "WARNING")
    assert (seen["over"], said[-1]) == (False, UNSUBSCRIBED)
    assert first.startswith("session.run() has waited for the reply SPEECH for ")


@pytest.mark.parametrize("program", [strangers.played_meanwhile, strangers.tried_again_and_again])
def test_deadlock_is_reported_once_as_long_as_the_same_tasks_wait(program: Program, play: Play) -> None:
    seen = play(program, "report")
    assert not seen["over"]
    assert lines(seen, "ERROR")[0] == "deadlock: the handoff to Name waits for itself"


def test_run_does_not_need_a_speech_that_a_running_tool_may_take_out_of_it(play: Play) -> None:
    seen = play(strangers.sibling_takes_its_speech_out_of_the_run, "report")
    assert (seen["over"], seen["records"]) == (True, [])


def test_agent_task_that_the_library_awaits_is_traced_to_the_users_line(play: Play) -> None:
    said = lines(play(strangers.task_group_and_hang_up, "report"), "WARNING")
    assert said[1:5] == [
        "  on_enter() of Survey waits for the AgentTask TaskGroup",
        at("on_enter awaits the group here", "on_enter"),
        "  the AgentTask TaskGroup waits for on_enter() of TaskGroup",
        "  on_enter() of TaskGroup waits for the AgentTask Ask",
    ]
    assert said[5].endswith("the session is closed, and no turn of the user reaches it")
