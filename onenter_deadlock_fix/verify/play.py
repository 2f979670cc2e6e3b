"""Play one agent in this process, and write what happens to standard output.

Each line is a JSON object: a ``step`` as it happens, a ``log`` record of the shim's, ``waiting`` each second without a
step, and the ``outcome`` at the end: it has completed, or it hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

from livekit.agents import AgentSession

from .. import status
from .agents import AGENTS, USERS_ANSWERS, script
from .scripted_model import ScriptedLLM


class Play(logging.Handler):
    """One run of an agent, with its session, its simulated user, and its progress so far."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._finished = asyncio.Event()
        self._started_at = self._last_step_at = time.monotonic()
        self._questions: asyncio.Queue[str] = asyncio.Queue()
        self._is_reported = False

    def emit(self, record: logging.LogRecord) -> None:
        """Report a log record of the shim's."""
        self._is_reported = self._is_reported or record.levelno >= logging.ERROR
        _report(log=f"{record.levelname} {record.name} - {record.getMessage()}", seconds=self._seconds())

    def step(self, what: str) -> None:
        """Report a step of the run."""
        self._last_step_at = time.monotonic()
        _report(step=what, seconds=self._seconds())

    async def run(self, agent: str, patience: float) -> None:
        """Play until the agent has finished, is deadlocked, or has taken no step for ``patience`` seconds."""
        session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(script))
        session.on("conversation_item_added", self._on_item_added)
        user = asyncio.create_task(self._user(session))
        await session.start(AGENTS[agent](self.step, self._finished.set))
        cycle: list[str] = []
        while not self._finished.is_set() and self._last_step_at + patience > time.monotonic():
            try:
                await asyncio.wait_for(self._finished.wait(), 1.0)
            except asyncio.TimeoutError:
                _report(waiting=round(time.monotonic() - self._last_step_at))
                before, cycle = cycle, self._cycle()
                if before and cycle:  # in two checks, one second apart
                    break
        user.cancel()
        if self._finished.is_set():
            _report(outcome="completed", seconds=self._seconds())
        else:
            _report(outcome="hung", seconds=self._seconds(), waits=cycle or _cycle())

    def _cycle(self) -> list[str]:
        """Return the waits that close a cycle, unless detection is on and has not reported it yet."""
        return [] if status().detection in ("report", "resolve") and not self._is_reported else _cycle()

    def _on_item_added(self, event: Any) -> None:
        message = event.item
        if message.type == "message" and message.text_content:
            self.step(f"{message.role}: {message.text_content}")
            if message.role == "assistant":
                self._questions.put_nowait(message.text_content)

    async def _user(self, session: AgentSession[Any]) -> None:
        while True:
            answer = USERS_ANSWERS.get(await self._questions.get())
            if answer:
                session.generate_reply(user_input=answer)

    def _seconds(self) -> float:
        """Return the time of the last step, in seconds from the start."""
        return round(self._last_step_at - self._started_at, 3)


def _cycle() -> list[str]:
    """Return the waits that close a cycle, if detection can find one in this release."""
    with contextlib.suppress(Exception):
        from ..detection import cycle

        return cycle()
    return []


def _report(**fact: Any) -> None:
    print(json.dumps(fact), flush=True)


async def main(agent: str, patience: float) -> None:
    """Play one of ``AGENTS``; it counts as hung after ``patience`` seconds without a step."""
    play = Play()
    logging.getLogger("onenter_deadlock_fix").addHandler(play)
    await play.run(agent, patience)
