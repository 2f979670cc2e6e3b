"""The pattern with OpenAI's realtime model, in a session without a room, on any release; prints how it ended."""

from __future__ import annotations

import asyncio
import json
import os

import onenter_deadlock_fix

import livekit.agents  # isort: skip
import aiohttp
from livekit.agents import Agent, AgentSession, AgentTask, function_tool
from livekit.plugins import openai


class EmailTask(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask the user for an e-mail address.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask for the e-mail address.")

    @function_tool
    async def update_email(self, email: str) -> None:
        """Note the e-mail address that the user has given."""
        self.complete(email)


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a receptionist who needs the e-mail address of every caller.")
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Collect the e-mail address, then thank the user.")
        self.ended.set_result(f"collected {self.email}")

    @function_tool
    async def collect_email(self) -> str:
        """Collect the user's e-mail address."""
        self.email = await EmailTask()
        return self.email


async def main() -> None:
    receptionist = Receptionist()
    async with aiohttp.ClientSession() as http_session:
        model = openai.realtime.RealtimeModel(base_url=os.environ["OPENAI_BASE_URL"], http_session=http_session)
        session: AgentSession[None] = AgentSession(llm=model)
        await session.start(receptionist)
        ended = await receptionist.ended
        await session.aclose()
    status = onenter_deadlock_fix.status()
    outcome = {"release": livekit.agents.__version__, "state": status.state, "handoffs": status.handoffs}
    print(json.dumps({**outcome, "plugin": openai.__version__, "ended": ended}))


asyncio.run(main())
