"""What look.py measures: ``python crowd.py ROUNDS`` lets a hand-over hang among 1,000 tasks that wait for other things.

A quarter of them sleep, a quarter wait for a queue, and a quarter for a task of their own that sleeps. The output is
JSON: the number of tasks, and of each round the cost of a look and of a full garbage collection, in seconds.
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

import onenter_deadlock_fix

onenter_deadlock_fix.detect("report", after=3600)  # the looks are taken here, and not by the timer

from livekit.agents import AgentSession  # noqa: E402

from onenter_deadlock_fix.detection import watch as _detector  # noqa: E402
from onenter_deadlock_fix.detection.graph import Graph  # noqa: E402
from onenter_deadlock_fix.verify.agents import AGENTS, script  # noqa: E402
from onenter_deadlock_fix.verify.scripted_model import ScriptedLLM  # noqa: E402

OTHERS = 1000
PATIENCE = 30.0  # seconds


async def main(rounds: int) -> None:
    crowd = asyncio.gather(*others())
    session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(script))
    await session.start(AGENTS["nested"](lambda step: None, lambda: None))
    loop = asyncio.get_running_loop()
    watched = await asyncio.wait_for(until_stuck(loop), PATIENCE)
    _detector._after = 0.0  # all is due
    looks, collections = [], []
    for _ in range(rounds + 1):
        looks.append(cost(lambda: _detector._look(loop, watched, _detector._drains(loop))))
        collections.append(cost(gc.collect))
    # the first look has imported the modules that it needs, and has logged what the others find too
    print(
        json.dumps({"tasks": len(asyncio.all_tasks()), "looks": looks[1:], "collections": collections[1:]}), flush=True
    )
    crowd.cancel()
    os._exit(0)  # a session that hangs can't be closed


def others() -> list[Coroutine[Any, Any, Any]]:
    queue: asyncio.Queue[None] = asyncio.Queue()
    waiting: list[Coroutine[Any, Any, Any]] = []
    for _ in range(OTHERS // 4):
        waiting += (asyncio.sleep(3600), queue.get(), waiting_for_another())
    return waiting


async def waiting_for_another() -> None:
    await asyncio.gather(asyncio.sleep(3600))


async def until_stuck(loop: asyncio.AbstractEventLoop) -> _detector._Watched:
    """Return what the timer has found, as soon as there is something and it is stuck."""
    while not (getattr(loop, _detector._WATCHED, None) and Graph(loop).stuck(asyncio.all_tasks())):
        await asyncio.sleep(0.1)
    watched: _detector._Watched = getattr(loop, _detector._WATCHED)
    return watched


def cost(function: Callable[[], object]) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


asyncio.run(main(int(sys.argv[1])))
