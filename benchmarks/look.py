"""Measure what detection's timer costs: ``python look.py ROUNDS little|much``, in an environment with livekit-agents.

A deadlock hangs among 1,000 tasks that wait for other things and hold little or much. The output is JSON: of each round
the seconds of CPU time that a tick of the timer took, in which it looked at the deadlock, and those of a full garbage
collection.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any, Callable

from livekit.agents import Agent, AgentSession

import onenter_deadlock_fix

TASKS = 1000
FOREVER = 1e9  # seconds
WARM_UP = 5  # ticks: the first ones import what a look needs, and log what they find


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
        await asyncio.sleep(FOREVER)
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


class Collector(logging.Handler):
    """Collects what is logged of deadlocks."""

    def __init__(self, deadlocks: list[logging.LogRecord]) -> None:
        super().__init__()
        self._deadlocks = deadlocks

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "deadlock"):
            self._deadlocks.append(record)


def seconds(function: Callable[..., object], *args: object) -> float:
    began = time.process_time()
    function(*args)
    return time.process_time() - began


def time_ticks(loop: asyncio.AbstractEventLoop) -> list[float]:
    """Have each tick of detection's timer look at all, and return the list that the ticks' seconds go to."""
    ticks: list[float] = []
    call_at = loop.call_at

    def timed_call_at(when: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        if not (getattr(callback, "__module__", None) or "").startswith("onenter_deadlock_fix."):
            return call_at(when, callback, *args, context=context)
        return call_at(when, lambda: ticks.append(seconds(callback, *args)), context=context)

    loop.call_at = timed_call_at  # type: ignore[method-assign,assignment]
    # by this clock the timer is always due, and so is all that it has looked at before
    loop.time = itertools.count(loop.time(), 60.0).__next__  # type: ignore[method-assign]
    return ticks


async def main(rounds: int, held: object) -> None:
    deadlocks: list[logging.LogRecord] = []
    logging.getLogger("onenter_deadlock_fix").addHandler(Collector(deadlocks))
    tasks = crowd(held)
    session: AgentSession[None] = AgentSession()
    await session.start(Leaver())
    await asyncio.sleep(0.1)  # until all wait
    ticks = time_ticks(asyncio.get_running_loop())
    status = onenter_deadlock_fix.detect("report")
    assert status.detection == "report", status
    collections: list[float] = []
    gc.collect()
    gc.disable()  # so that none falls into a tick
    while len(ticks) < rounds + WARM_UP:
        await asyncio.sleep(0)
        if len(collections) < len(ticks):
            collections.append(seconds(gc.collect))
    assert deadlocks, "no deadlock was found"
    assert not any(task.done() for task in tasks)
    print(json.dumps({"looks": ticks[WARM_UP : rounds + WARM_UP], "collections": collections[WARM_UP:]}), flush=True)
    os._exit(0)  # a session that hangs can't be closed


asyncio.run(main(int(sys.argv[1]), much() if sys.argv[2] == "much" else None))
