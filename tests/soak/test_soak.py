"""Many sessions in one event loop, many handoffs in each: none is stuck, and the shim keeps nothing of them alive."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
from livekit.agents import Agent
from programs import LIMIT

import onenter_deadlock_fix

from .__main__ import HEADER, handoffs_in_a_round, soak
from .conversation import AtOnce, Conversation

SESSIONS, HANDOFFS = 20, 30


@pytest.fixture(autouse=True)
def detection() -> Iterator[None]:
    onenter_deadlock_fix.detect("report")
    yield
    onenter_deadlock_fix.detect("off")


def test_no_session_is_stuck_and_nothing_is_left_of_it() -> None:
    result = asyncio.run(soak(SESSIONS, HANDOFFS, rounds=1, patience=LIMIT, trace=False))

    assert result["detection"] == "report"
    (outcome,) = result["rounds"]
    assert outcome["handoffs"] == SESSIONS * HANDOFFS
    assert outcome["stuck"] == 0
    assert outcome["closed"]
    assert outcome["alive"] == {}  # AgentSessions, Agents, AgentTasks, activities, tasks of tools and of on_enter
    assert outcome["tasks left"] == []
    assert [line for line in outcome["logged"] if "switched off by deactivate()" not in line] == []


def test_memory_does_not_grow_with_the_handoffs() -> None:
    result = asyncio.run(soak(sessions=2, handoffs=20, rounds=3, patience=LIMIT, trace=True))

    assert result["detection"] == "report"

    assert handoffs_in_a_round(result) == 40
    assert result["growth by the shim"] < HEADER * handoffs_in_a_round(result)


def test_agent_task_is_not_kept_alive_by_the_task_that_has_awaited_it() -> None:
    class Sender(Agent):
        async def on_enter(self) -> None:
            agent_task = AtOnce(conversation, result=0)
            awaited.append(weakref.ref(agent_task))
            await agent_task

    async def play() -> bool:
        nonlocal conversation
        conversation = Conversation(handoffs=1)
        sender = Sender(instructions="")
        await conversation.session.start(sender)
        on_enter_task = sender._get_activity_or_raise()._on_enter_task  # which the activity keeps
        assert on_enter_task is not None
        await asyncio.wait_for(on_enter_task, LIMIT)
        gc.collect()
        alive = awaited[0]() is not None
        await conversation.session.aclose()
        return alive

    conversation: Conversation
    awaited: list[weakref.ref[AtOnce]] = []
    assert not asyncio.run(play())
