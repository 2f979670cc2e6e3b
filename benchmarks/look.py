"""One look at who waits for whom: ``python look.py ROUNDS little|much``, in an environment with livekit-agents.

A deadlock hangs among 1,000 tasks that wait for other things and hold little or much. The output is JSON: of each round
the seconds of CPU time that a look took, and those of a full garbage collection.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any, Callable

from livekit.agents import Agent, AgentSession

from onenter_deadlock_fix import detection

TASKS = 1000


class Leaver(Agent):
    """Waits in on_enter for the close of the session, which waits for on_enter."""

    def __init__(self) -> None:
        super().__init__(instructions="Leave at once.")

    async def on_enter(self) -> None:
        await self.session.aclose()


class Holder:
    """A user's object that waits, with all that it holds within reach: in itself, in locals, in what it may cancel."""

    def __init__(self, held: object) -> None:
        self.held = held
        self.others: list[asyncio.Future[Any]] = []

    async def sleep(self) -> None:
        """Sleep, and cancel others after that."""
        local = [self.held]
        await asyncio.sleep(3600)
        for other in (*self.others, *local):
            other.cancel()  # type: ignore[attr-defined]

    async def get(self, queue: asyncio.Queue[None]) -> None:
        """Wait for what nobody puts into a queue."""
        local = [self.held]
        await queue.get()
        del local

    async def wait(self) -> None:
        """Wait for a task of its own."""
        local = [self.held]
        self.others = [asyncio.create_task(self.sleep())]
        await asyncio.gather(*self.others)
        del local


def crowd(held: object) -> list[asyncio.Task[None]]:
    """Return tasks that wait; each third of them creates one more."""
    queue: asyncio.Queue[None] = asyncio.Queue()
    waiting: list[Coroutine[Any, Any, None]] = []
    for _ in range(TASKS // 4):
        waiting += (Holder(held).sleep(), Holder(held).get(queue), Holder(held).wait())
    return [asyncio.create_task(coroutine) for coroutine in waiting]


def much() -> object:
    """Return a dictionary of a million entries, and in it a list nested a thousand deep."""
    nested: list[Any] = []
    for _ in range(TASKS):
        nested = [nested]
    return {"nested": nested, **{str(number): [number] for number in range(1_000_000)}}


def seconds(function: Callable[[], object]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


async def main(rounds: int, held: object) -> None:
    tasks = crowd(held)
    session: AgentSession[None] = AgentSession()
    await session.start(Leaver())
    await asyncio.sleep(1)
    assert not any(task.done() for task in tasks)
    assert detection.cycle(), "there is no deadlock to find"
    assert len(asyncio.all_tasks()) >= TASKS
    gc.collect()
    gc.disable()  # so that none falls into a look
    looks, collections = [], []
    for _ in range(rounds):
        looks.append(seconds(detection.cycle))
        collections.append(seconds(gc.collect))
    print(json.dumps({"looks": looks, "collections": collections}), flush=True)
    os._exit(0)  # a session that hangs can't be closed


asyncio.run(main(int(sys.argv[1]), much() if sys.argv[2] == "much" else None))
