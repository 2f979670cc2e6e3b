"""One play in this process: ``python -m onenter_deadlock_fix.verify.play AGENT SECONDS``.

It writes JSON objects to standard output, one a line: a ``step`` as it happens, a ``log`` record of the shim's,
``waiting`` each second without either, and the ``outcome`` at the end, which a circle of waits brings, or SECONDS
without a step.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

from livekit.agents import AgentSession

from .. import status
from ..detection.describe import deadlock, waits
from ..detection.graph import Graph
from .agents import AGENTS, USERS_ANSWERS, script
from .scripted_model import ScriptedLLM


class Play(logging.Handler):
    """One play: its session, its user, and what has happened so far."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._over = asyncio.Event()
        self._began = self._moved = time.monotonic()
        self._asked: asyncio.Queue[str] = asyncio.Queue()
        self._reported = status().detection == "off"  # whether all is said that will be

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a log record of the shim's."""
        self._reported = True
        _tell(log=f"{record.levelname} {record.name} - {record.getMessage()}", seconds=self._seconds())

    def step(self, what: str) -> None:
        """Note that the play has moved, and tell it."""
        self._moved = time.monotonic()
        _tell(step=what, seconds=self._seconds())

    async def run(self, agent: str, patience: float) -> None:
        """Play until the agent has come to its end or is stuck, then tell the outcome. ``patience`` is in seconds."""
        session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(script))
        session.on("conversation_item_added", self._on_item_added)
        user = asyncio.create_task(self._user(session))
        await session.start(AGENTS[agent](self.step, self._over.set))
        circle = []
        while not self._over.is_set() and self._moved + patience > time.monotonic():
            try:
                await asyncio.wait_for(self._over.wait(), 1.0)
            except asyncio.TimeoutError:
                circle = deadlock(Graph(asyncio.get_running_loop()))
                if circle and self._reported:
                    break
                _tell(waiting=round(time.monotonic() - self._moved))
        user.cancel()
        if self._over.is_set():
            _tell(outcome="completed", seconds=self._seconds())
        else:
            known = circle or waits(Graph(asyncio.get_running_loop()))
            _tell(
                outcome="deadlock" if circle else "stuck",
                seconds=self._seconds(),
                waits=[waiter.wait for waiter in known],
            )

    def _on_item_added(self, event: Any) -> None:
        message = event.item
        if message.type == "message" and message.text_content:
            self.step(f"{message.role}: {message.text_content}")
            if message.role == "assistant":
                self._asked.put_nowait(message.text_content)

    async def _user(self, session: AgentSession[Any]) -> None:
        while True:
            answer = USERS_ANSWERS.get(await self._asked.get())
            if answer:
                session.generate_reply(user_input=answer)

    def _seconds(self) -> float:
        """Return when the play has last moved, in seconds from its beginning."""
        return round(self._moved - self._began, 3)


def _tell(**fact: Any) -> None:
    print(json.dumps(fact), flush=True)


async def main(agent: str, patience: float) -> None:
    play = Play()
    logging.getLogger("onenter_deadlock_fix").addHandler(play)
    await play.run(agent, patience)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
