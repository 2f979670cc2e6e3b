"""Detection can be asked for, changed and switched off while something hangs already."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detection_programs import switching

Play = Callable[..., Any]

RESOLVED = ["ERROR", "WARNING"]


@pytest.mark.parametrize(
    ("modes", "levels"),
    [
        (["report"], [["ERROR"]]),
        (["resolve"], [RESOLVED]),
        (["report", "report"], [["ERROR"], []]),
        (["report", "resolve"], [["ERROR"], ["WARNING"]]),
        (["report", "off", "resolve"], [["ERROR"], [], RESOLVED]),
        (["off", "resolve", "report"], [[], RESOLVED, []]),
        (["report", "off"], [["ERROR"], []]),
    ],
)
def test_what_hangs_already_is_dealt_with_as_is_asked_for_now(
    modes: list[str], levels: list[list[str]], play: Play
) -> None:
    seen = play(switching.in_turn, "off", modes=modes)
    assert seen["result"] == levels
    assert seen["detection"] == modes[-1]


def test_nothing_is_logged_once_the_shim_is_deactivated_but_that_it_is(play: Play) -> None:
    seen = play(switching.deactivated, "report", after=0.5)
    assert (seen["result"], seen["detection"]) == (["WARNING"], "off")


def test_nothing_is_logged_once_detection_is_off(play: Play) -> None:
    seen = play(switching.slow_and_switched_off, "report")
    assert (seen["over"], seen["records"], seen["detection"]) == (True, [], "off")
