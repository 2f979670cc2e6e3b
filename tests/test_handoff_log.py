"""A handoff that the fix changes is counted and logged: at INFO the first one in a process, at DEBUG the others."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from detecting import Play
from detection_programs import surroundings
from scenarios import Scenario, nested, pattern
from test_blocked_tasks import a_handoff_in_a_task_of_its_own

ACTIVE = (
    "onenter-deadlock-fix is active on livekit-agents 1.3.5 (patched): livekit-agents 1.3.5 has the on_enter deadlock "
    "of livekit/agents issue #4109; the wrappers that fix it are installed"
)


def changed(agent_task: str, tool: str, agent: str) -> str:
    return (
        f"the handoff to {agent_task} by the tool {tool} does not wait for on_enter() of {agent}, which is still "
        "running; without onenter-deadlock-fix it would wait, and hang where on_enter() waits for this tool"
    )


def assert_logged(played: Any, *handoffs: str) -> None:
    messages = [ACTIVE, *handoffs]
    levels = ["INFO", *(["INFO"] + ["DEBUG"] * len(handoffs))[: len(handoffs)]]
    assert (played["over"], played["handoffs"]) == (True, len(handoffs))
    assert [(record["level"], record["message"]) for record in played["records"]] == list(zip(levels, messages))


@pytest.mark.parametrize(
    ("scenario", "handoffs"),
    [
        (nested.the_pattern_in_an_agent_task, [("Patterned", "collect", None), ("Name", "ask_name", "Patterned")]),
        (pattern.the_agent_task_is_a_dataclass, [("Task", "collect", None)]),
        (pattern.the_agent_task_can_not_be_compared, [("Task", "collect", None)]),
        (a_handoff_in_a_task_of_its_own, [("Name", "collect", "Desk")]),
        # these hang on no release from 1.2.6 on: on_enter is over, or awaits the AgentTask itself
        (pattern.a_reply_to_the_user, []),
        (nested.on_enter_awaits_the_agent_task_itself, []),
        (nested.on_enter_of_the_agent_task_awaits_an_agent_task, [("Task", "collect", None)]),
    ],
)
def test_handoffs_that_are_changed_are_counted_and_logged(
    scenario: Scenario, handoffs: list[tuple[str, str, str | None]], play: Play
) -> None:
    changes = [changed(agent_task, tool, agent or scenario.__name__) for agent_task, tool, agent in handoffs]
    assert_logged(play(scenario, level=logging.DEBUG), *changes)


def test_handoff_is_neither_changed_nor_counted_where_the_fix_is_off(play: Play) -> None:
    played = play(pattern.the_pattern, fix=False)
    assert (played["over"], played["handoffs"]) == (False, 0)


def test_log_handler_that_raises_does_not_disturb_the_handoff(play: Play) -> None:
    played = play(surroundings.failing_handler, level=logging.DEBUG, inner=pattern.the_pattern, times=math.inf)
    assert_logged(played, changed("Name", "collect", "the_pattern"))
