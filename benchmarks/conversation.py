"""What handoff.py measures: an ``on_enter`` that awaits one ``AgentTask`` after the other, each completed at once.

Each line on standard input asks for HANDOFFS of them in a row, in a session of their own; the answer is the cost of
one hand-over there and back as JSON, in seconds. An argument names a module to import first. A line may name functions
of that module to call first, each with its arguments, and ``;`` between them.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time

module = importlib.import_module(sys.argv[1]) if sys.argv[1:] else None

from livekit.agents import Agent, AgentSession, AgentTask  # noqa: E402

HANDOFFS = 100


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
        self.cpu = self.wall = 0.0

    async def on_enter(self) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(HANDOFFS):
            await Errand()
        self.cpu, self.wall = time.process_time() - cpu, time.perf_counter() - wall
        self.entered.set()


async def main() -> None:
    for line in sys.stdin:
        for call in filter(str.strip, line.split(";")):
            function, *arguments = call.split()
            getattr(module, function)(*arguments)
        session: AgentSession[None] = AgentSession()
        sender = Sender()
        await session.start(sender)
        await sender.entered.wait()
        await session.aclose()
        print(json.dumps({"cpu": sender.cpu / HANDOFFS, "wall": sender.wall / HANDOFFS}), flush=True)


asyncio.run(main())
