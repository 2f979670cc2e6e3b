"""An AgentTask that another agent has displaced is no deadlock, since anybody may complete it; a warning says that no
turn reaches it.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detecting import at, lines
from detection_programs import displaced

Play = Callable[..., Any]

DISPLACED = "Lobby has taken its place, and no turn of the user reaches it"


def deadlocks(seen: Any) -> list[str]:
    return [record["message"].splitlines()[0] for record in seen["records"] if record["level"] == "ERROR"]


def test_nobody_completes_it_and_a_warning_says_why_no_turn_does(play: Play) -> None:
    seen = play(displaced.nobody_completes_it, "report")
    assert not seen["over"]
    first, *told = lines(seen, "WARNING")
    assert first.startswith("the AgentTask Ask has waited for ")
    assert told == [
        "  the tool collect waits for the AgentTask Ask",
        at("collect awaits Ask here", "collect"),
        f"  the AgentTask Ask waits in livekit.agents.voice.agent, __await_impl: {DISPLACED}",
    ]
    assert deadlocks(seen) == []


@pytest.mark.parametrize(
    ("program", "agent"),
    [(displaced.timer_completes_it, "Timed"), (displaced.helper_of_its_own_completes_it, "Helping")],
)
def test_what_completes_it_makes_nothing_untrue_and_the_next_deadlock_of_the_same_task_is_told(
    program: Callable[..., Any], agent: str, play: Play
) -> None:
    seen = play(program, "report")
    # on 1.3.5 and 1.3.6 the tool then closes the activity that its own reply is in
    assert not seen["over"]
    assert deadlocks(seen) == [f"deadlock: the close of the activity of {agent} waits for itself"]


def test_agent_task_is_not_said_to_be_displaced_by_one_that_is_awaited_where_nothing_can_look(play: Play) -> None:
    seen = play(displaced.is_awaited_by_an_awaitable_of_the_users, "report")
    assert (seen["over"], seen["records"]) == (False, [])
