"""The pattern with OpenAI's realtime model, in a session without a room, on any release; prints how it ended."""

from __future__ import annotations

import asyncio
import json
import os

import onenter_deadlock_fix

import livekit.agents  # isort: skip
import aiohttp
from agents import Receptionist
from livekit.agents import AgentSession
from livekit.plugins import openai


async def main() -> None:
    ended = asyncio.get_running_loop().create_future()
    async with aiohttp.ClientSession() as http_session:
        model = openai.realtime.RealtimeModel(base_url=os.environ["OPENAI_BASE_URL"], http_session=http_session)
        session: AgentSession[None] = AgentSession(llm=model)
        await session.start(Receptionist(ended.set_result))
        await ended
        await session.aclose()
    status = onenter_deadlock_fix.status()
    outcome = {"release": livekit.agents.__version__, "state": status.state, "handoffs": status.handoffs}
    print(json.dumps({**outcome, "plugin": openai.__version__, "ended": ended.result()}))


asyncio.run(main())
