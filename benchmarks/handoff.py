"""Play handoffs to an AgentTask and back, for callgrind to count: ``python handoff.py HANDOFFS VARIANT ...``.

A VARIANT is ``bare``, ``off`` or ``report``: without the shim, or with it and its detection in that mode. Each has a
process of its own, forked from one that has imported livekit-agents, so that they differ in nothing else. The output
names the variants and their processes as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys

from livekit.agents import Agent, AgentSession, AgentTask

AT_ONCE = 100  # handoffs in a session
TICK = 20e-6  # seconds: with 13 looks at the clock it makes a handoff some 260 microseconds, as it is without valgrind


class Errand(AgentTask[None]):
    """Is done as soon as it is entered."""

    def __init__(self) -> None:
        super().__init__(instructions="Nothing is left to do.")

    async def on_enter(self) -> None:
        self.complete(None)


class Sender(Agent):
    """Awaits its AgentTasks on a path that no release hangs on."""

    def __init__(self) -> None:
        super().__init__(instructions="Send for things.")
        self.entered = asyncio.Event()

    async def on_enter(self) -> None:
        for _ in range(AT_ONCE):
            await Errand()
        self.entered.set()


async def converse() -> None:
    session: AgentSession[None] = AgentSession()
    sender = Sender()
    await session.start(sender)
    await sender.entered.wait()
    await session.aclose()


async def main(handoffs: int) -> None:
    # Instead of the real clock, which tells the timer of detection to tick fifty times as often under valgrind. Written
    # in C, so that it costs no more than the real one.
    asyncio.get_running_loop().time = itertools.count(0.0, TICK).__next__  # type: ignore[method-assign]
    await converse()  # what is imported and cached the first time
    gc.collect()
    os.getppid()  # the mark that callgrind counts from, and to
    for _ in range(handoffs // AT_ONCE):
        await converse()
    os.getppid()


def shim(mode: str) -> None:
    os.environ["ONENTER_DEADLOCK_FIX_DETECT"] = mode
    import onenter_deadlock_fix

    status = onenter_deadlock_fix.status()
    assert (status.state, status.detection) == ("patched", mode), status


processes: dict[str, int] = {}
gc.collect()
gc.freeze()  # the garbage collection has only what the handoffs make
for variant in sys.argv[2:]:
    processes[variant] = os.fork()
    if not processes[variant]:
        if variant.startswith("bare"):
            assert "onenter_deadlock_fix" not in sys.modules
        else:
            shim(variant)
        asyncio.run(main(int(sys.argv[1])))
        os._exit(0)
    _, status = os.waitpid(processes[variant], 0)
    assert status == 0, f"{variant}: {status}"
print(json.dumps(processes))
