"""After any fault on the way to an AgentTask or back, the session can be closed and another one works.

They are played in several event loops at once, each in a thread of its own, as LiveKit's thread executor has them.
"""

from __future__ import annotations

from typing import Any

import pytest
from programs import Forks

from .faults import PLACES, play_all

Outcomes = dict[str, dict[str, Any]]

# The same on 1.3.6, where the tool hands over a second time after the first one has failed half-way.
UPSTREAM_CANNOT_CLOSE = {"tool that tries again: raise after, start, call 1"}


@pytest.fixture(scope="module")
def outcomes(library: Forks) -> Outcomes:
    """What came of each fault, by the fault's name."""
    result = library.call(play_all, PLACES, loops=12)
    assert result["state"] == "patched"
    outcomes: Outcomes = result["outcomes"]
    return outcomes


def test_without_a_fault_the_agent_task_is_awaited_everywhere(outcomes: Outcomes) -> None:
    for place in ("tool", "tool that tries again", "nested tool", "on_enter"):
        assert outcomes[f"{place}: none"]["await"] == "returned 'victim'"
        assert outcomes[f"{place}: none"]["on_enter"] == "returned None"


def test_there_is_a_fault_at_every_await_point_of_every_place(outcomes: Outcomes) -> None:
    for place in ("tool", "nested tool", "on_enter"):
        points = outcomes[f"{place}: none"]["points"]
        assert "pause > _pause_scheduling_task" in points  # there
        assert "drain > _pause_scheduling_task" in points  # and back
        for kind in ("cancel", "cancel late", "raise", "close", "update_agent"):
            assert {f"{place}: {kind}, {number + 1}" for number in range(len(points))} <= outcomes.keys()


def test_the_session_can_be_closed(outcomes: Outcomes) -> None:
    assert {fault for fault, outcome in outcomes.items() if not outcome["closes"]} <= UPSTREAM_CANNOT_CLOSE


def test_another_session_works_and_can_be_closed(outcomes: Outcomes) -> None:
    assert [fault for fault, outcome in outcomes.items() if not outcome["another works"]] == []
    assert [fault for fault, outcome in outcomes.items() if not outcome["another closes"]] == []


def test_a_cancellation_reaches_what_awaits_the_agent_task(outcomes: Outcomes) -> None:
    cancelled = {fault: outcome["await"] for fault, outcome in outcomes.items() if ": cancel" in fault}
    assert cancelled
    assert {fault: end for fault, end in cancelled.items() if end != "was cancelled"} == {}


def test_an_exception_reaches_what_awaits_the_agent_task(outcomes: Outcomes) -> None:
    kinds = (": raise", ": on_enter", ": on_exit", ": complete")
    raised = {fault: outcome["await"] for fault, outcome in outcomes.items() if any(kind in fault for kind in kinds)}
    assert raised
    assert {fault: end for fault, end in raised.items() if not end.startswith("raised Injected: ")} == {}
