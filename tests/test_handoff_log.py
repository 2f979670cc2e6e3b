"""A handoff that the fix changes is counted and logged: at INFO the first one in a process, at DEBUG the others."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Callable

import handoff_programs
import pytest
from scenarios import pattern

Play = Callable[..., Any]
Program = Callable[..., Any]


@pytest.fixture
def play(play: Play) -> Play:
    return partial(play, level=logging.DEBUG)


def records(seen: Any) -> list[list[str]]:
    return [[record["level"], record["message"]] for record in seen["records"]]


ACTIVE = (
    "onenter-deadlock-fix is active on livekit-agents 1.3.5 (patched): livekit-agents 1.3.5 has the on_enter deadlock "
    "of livekit/agents issue #4109; both wrappers are in place"
)


def changed(agent_task: str, tool: str, agent: str) -> str:
    return (
        f"the handoff to {agent_task} by the tool {tool} does not wait for on_enter() of {agent}, which is still "
        "running; without onenter-deadlock-fix it would wait, and hang where on_enter() waits for this tool"
    )


def test_first_session_and_first_handoff_are_logged_at_info_and_all_handoffs_are_counted(play: Play) -> None:
    in_words = changed("Name", "collect", "Desk")
    seen = play(handoff_programs.pattern_in_three_sessions)
    assert (seen["over"], seen["handoffs"]) == (True, 3)
    assert records(seen) == [["INFO", ACTIVE], ["INFO", in_words], ["DEBUG", in_words], ["DEBUG", in_words]]


def test_each_handoff_is_named_for_what_it_is(play: Play) -> None:
    seen = play(handoff_programs.pattern_in_an_agent_task)
    assert (seen["over"], seen["handoffs"]) == (True, 2)
    assert records(seen) == [
        ["INFO", ACTIVE],
        ["INFO", changed("PersonByTool", "collect", "Desk")],
        ["DEBUG", changed("Name", "ask_name", "PersonByTool")],
    ]


@pytest.mark.parametrize(
    "program",
    [
        handoff_programs.on_enter_is_over,
        handoff_programs.on_enter_that_hands_over_itself,
        handoff_programs.on_enter_that_hands_over_to_one_that_does,
    ],
)
def test_handoff_that_hangs_on_no_release_from_1_2_6_on_is_not_counted(program: Program, play: Play) -> None:
    seen = play(program)
    assert (seen["over"], seen["handoffs"], records(seen)) == (True, 0, [["INFO", ACTIVE]])


def test_handoff_is_neither_changed_nor_counted_where_the_fix_is_off(play: Play) -> None:
    seen = play(handoff_programs.pattern, fix=False)
    assert (seen["over"], seen["handoffs"]) == (False, 0)


@pytest.mark.parametrize("program", [pattern.the_agent_task_is_a_dataclass, pattern.the_agent_task_can_not_be_compared])
def test_handoff_to_an_odd_agent_task_is_counted_and_logged(program: Program, play: Play) -> None:
    seen = play(program)
    assert (seen["over"], seen["handoffs"]) == (True, 1)
    assert records(seen) == [["INFO", ACTIVE], ["INFO", changed("Task", "collect", program.__name__)]]


def test_log_handler_that_raises_does_not_disturb_the_handoff(play: Play) -> None:
    seen = play(handoff_programs.pattern_with_a_log_handler_that_raises)
    assert (seen["over"], seen["handoffs"]) == (True, 1)
    assert records(seen) == [["INFO", ACTIVE], ["INFO", changed("Name", "collect", "Desk")]]
