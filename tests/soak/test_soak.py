"""Many sessions in one event loop, many hand-overs in each: none is stuck, and the shim keeps nothing of them alive."""

from __future__ import annotations

import asyncio

from .__main__ import HEADER, handoffs_in_a_round, soak
from .conversation import Conversation

SESSIONS, HANDOFFS = 20, 30


def test_no_session_is_stuck_and_nothing_is_left_of_it() -> None:
    result = asyncio.run(soak(SESSIONS, HANDOFFS, rounds=1, patience=20, trace=False))

    (outcome,) = result["rounds"]
    assert outcome["handoffs"] == SESSIONS * HANDOFFS
    assert outcome["stuck"] == 0
    assert outcome["closed"]
    assert outcome["alive"] == {}  # AgentSessions, Agents, AgentTasks, activities, tasks of tools and of on_enter
    assert outcome["tasks left"] == []
    assert outcome["marks left"] == []


def test_memory_does_not_grow_with_the_handoffs() -> None:
    result = asyncio.run(soak(sessions=2, handoffs=20, rounds=3, patience=20, trace=True))

    assert handoffs_in_a_round(result) == 40
    assert result["growth by the shim"] < HEADER * handoffs_in_a_round(result)


def test_what_the_shim_holds_during_a_handoff_is_gone_after_it() -> None:
    async def play() -> dict[str, list[str]]:
        conversation = Conversation(handoffs=1)
        await conversation.start()
        await asyncio.wait_for(conversation.over.wait(), 20)
        await conversation.session.aclose()
        return conversation.marks

    marks = asyncio.run(play())

    assert len(marks["during"]) == 1  # in the tool's task only, not in those that were created meanwhile
    assert marks["after"] == []  # while the tool's task still runs
