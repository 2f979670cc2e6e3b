"""Whatever goes wrong in detection, the program goes on, and so does detection as far as it can."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detection_programs import spoilt

Play = Callable[..., Any]

DEADLOCK = "deadlock: the handoff to Name waits for itself"
ERROR = "an error while checking the changes of an agent, which are left alone"


def first_lines(seen: Any) -> list[str]:
    return [record["message"].splitlines()[0] for record in seen["records"]]


@pytest.mark.parametrize("times", [1, 2, 100])
def test_error_in_looks_is_logged_once_and_the_next_look_is_taken(times: int, play: Play) -> None:
    seen = play(spoilt.look_fails, "report", times=times)
    assert (seen["over"], first_lines(seen), seen["errors"]) == (False, [ERROR, DEADLOCK], [])


def test_handoff_is_let_go_though_looks_have_failed(play: Play) -> None:
    seen = play(spoilt.look_fails, "resolve", times=2)
    assert (seen["over"], seen["errors"]) == (True, [])


def test_handoffs_go_on_in_an_event_loop_that_cannot_be_watched(play: Play) -> None:
    seen = play(spoilt.loop_cannot_be_watched, "report")
    assert (seen["over"], seen["errors"]) == (True, [])
    assert first_lines(seen) == ["changes of an agent can't be watched in this event loop"]


def test_awaitable_that_holds_who_awaits_it_is_come_to_an_end_of(play: Play) -> None:
    assert play(spoilt.stack_of_an_awaitable_that_holds_who_awaits_it, "off")["result"] == ["waiting"]
