"""A handoff that the fix changes is counted and logged: at INFO the first one in a process, at DEBUG the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
from forking import Forks, clean_environment

PROGRAM = Path(__file__).with_name("handoff_program.py")

Play = Callable[..., Any]


ACTIVE = (
    "onenter-deadlock-fix is active on livekit-agents 1.3.5 (patched): livekit-agents 1.3.5 has the on_enter deadlock "
    "of livekit/agents issue #4109; both wrappers are in place"
)


def changed(agent_task: str, tool: str, agent: str) -> str:
    return (
        f"the handoff to {agent_task} by the tool {tool} does not wait for on_enter() of {agent}, which is still "
        "running; without onenter-deadlock-fix it would wait, and hang where on_enter() waits for this tool"
    )


@pytest.fixture
def play(forks: Forks) -> Play:
    """Play a program of ``handoff_program.py`` and return what it prints."""

    def play(*arguments: str, **environment: str) -> Any:
        env = {**clean_environment(), **environment}
        ended = forks.run([str(PROGRAM), *arguments], cwd=PROGRAM.parent, env=env)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return play


def test_first_session_and_first_handoff_are_logged_at_info_and_all_handoffs_are_counted(play: Play) -> None:
    in_words = changed("Name", "collect", "Desk")
    assert play("pattern_in_three_sessions") == {
        "outcome": "completed",
        "log": [["INFO", ACTIVE], ["INFO", in_words], ["DEBUG", in_words], ["DEBUG", in_words]],
        "handoffs": 3,
    }


def test_each_handoff_is_named_for_what_it_is(play: Play) -> None:
    assert play("pattern_in_an_agent_task") == {
        "outcome": "completed",
        "log": [
            ["INFO", ACTIVE],
            ["INFO", changed("PersonByTool", "collect", "DeskWithThePatternTwice")],
            ["DEBUG", changed("Name", "ask_name", "PersonByTool")],
        ],
        "handoffs": 2,
    }


@pytest.mark.parametrize(
    "program", ["on_enter_is_over", "on_enter_that_hands_over_itself", "on_enter_that_hands_over_to_one_that_does"]
)
def test_handoff_that_hangs_on_no_release_from_1_2_6_on_is_not_counted(program: str, play: Play) -> None:
    assert play(program) == {"outcome": "completed", "log": [["INFO", ACTIVE]], "handoffs": 0}


def test_handoff_is_neither_changed_nor_counted_where_the_fix_is_off(play: Play) -> None:
    assert play("pattern", ONENTER_DEADLOCK_FIX="off") == {"outcome": "hung", "log": [], "handoffs": 0}


def test_log_handler_that_raises_does_not_disturb_the_handoff(play: Play) -> None:
    in_words = changed("Name", "collect", "Desk")
    assert play("pattern", "raises") == {
        "outcome": "completed",
        "log": [["INFO", ACTIVE], ["INFO", in_words]],
        "handoffs": 1,
    }
