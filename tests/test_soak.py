"""Many sessions in several event loops, with many handoffs in each: all complete, and nothing of them is kept alive."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import tracemalloc
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cast import Lobby, Name, entered, start
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice.agent_activity import AgentActivity
from recorder import record
from virtual_time import VirtualTimeLoop

import onenter_deadlock_fix

SHIM = Path(onenter_deadlock_fix.__file__).parent
THREADS, SESSIONS, REPLIES = 4, 5, 6
HANDOFFS_OF_A_REPLY = 5  # two of them are in an AgentTask
HEADER = object.__sizeof__(object())  # in bytes; whatever is kept per handoff takes at least as much


class Person(Name):
    """Its on_enter awaits another AgentTask itself."""

    async def on_enter(self) -> None:
        self.complete(await Name())


class PersonByTool(Name):
    """The pattern in an AgentTask."""

    async def on_enter(self) -> None:
        await self.session.generate_reply(user_input="ask_name")

    @function_tool
    async def ask_name(self) -> None:
        self.complete(await Name())


class Desk(Agent):
    """Its on_enter awaits replies, one after the other, whose tool awaits one AgentTask after the other."""

    async def on_enter(self) -> None:
        self.entering = asyncio.current_task()
        for _ in range(REPLIES):
            await self.session.generate_reply(user_input="collect")

    @function_tool
    async def collect(self) -> str:
        return " ".join([await Name(), await Person(), await PersonByTool()])


async def _converse(sessions: int) -> list[str]:
    """Play sessions at once to their end; return the tasks that are left."""
    desks = [Desk(instructions="") for _ in range(sessions)]
    started = [await start(desk) for desk in desks]
    await asyncio.wait_for(asyncio.gather(*(desk.entering for desk in desks)), timeout=60)  # of virtual time
    await asyncio.gather(*(session.aclose() for session in started))
    await asyncio.sleep(1)  # for done callbacks and the last check of detection
    return [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def _run(sessions: int) -> list[str]:
    with contextlib.closing(VirtualTimeLoop()) as loop:
        return loop.run_until_complete(_converse(sessions))


@pytest.mark.in_fork("library")
def test_no_session_hangs_and_nothing_is_left_of_it() -> None:
    recorder = record()
    onenter_deadlock_fix.detect("report")
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        left = [*threads.map(_run, [SESSIONS] * THREADS)]
    gc.collect()
    kinds = (AgentSession, Agent, AgentActivity, asyncio.Task)
    alive = Counter(type(thing).__name__ for thing in gc.get_objects() if issubclass(type(thing), kinds))
    assert (left, alive, recorder.messages()) == ([[]] * THREADS, {}, [])
    # not changed is the handoff of Person, whose on_enter awaits the AgentTask itself
    changed = THREADS * SESSIONS * REPLIES * (HANDOFFS_OF_A_REPLY - 1)
    assert onenter_deadlock_fix.status().handoffs == changed


@pytest.mark.in_fork("library")
def test_memory_that_the_shim_allocates_does_not_grow_with_the_handoffs() -> None:
    onenter_deadlock_fix.detect("report")
    tracemalloc.start()
    used = []
    for _ in range(3):
        _run(1)
        gc.collect()
        filters = [tracemalloc.Filter(True, str(SHIM / "*")), tracemalloc.Filter(False, str(SHIM / "verify" / "*"))]
        used.append(sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(filters).traces))
    growth = min(after - before for before, after in zip(used, used[1:]))  # a table that is enlarged once is no leak
    assert growth < HEADER * REPLIES * HANDOFFS_OF_A_REPLY


async def _await_an_agent_task() -> bool:
    """Return whether an AgentTask is alive while the task that has awaited it is, and thereby its context."""
    awaited: list[weakref.ref[Any]] = []

    class NamingDesk(Lobby):
        async def on_enter(self) -> None:
            agent_task = Name()
            awaited.append(weakref.ref(agent_task))
            await agent_task

    desk = NamingDesk()
    await entered(desk)  # which keeps the task of on_enter
    gc.collect()
    return awaited[0]() is not None


@pytest.mark.in_fork("library")
def test_agent_task_is_not_kept_alive_by_the_task_that_has_awaited_it() -> None:
    assert not VirtualTimeLoop().run_until_complete(_await_an_agent_task())
