"""An agent program as people write it, which knows no shim. MODEL and AGENT are in the environment."""

from __future__ import annotations

import os

import agents
from livekit.agents import AgentServer, AgentSession, JobContext, cli, get_job_context, room_io
from livekit.plugins import openai

server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    if os.environ["MODEL"] == "realtime":
        # RealtimeModel takes OPENAI_API_KEY from the environment, but not OPENAI_BASE_URL
        model = openai.realtime.RealtimeModel(base_url=os.environ["OPENAI_BASE_URL"])
    else:
        model = openai.LLM()
    session = AgentSession(llm=model)
    agent = getattr(agents, os.environ["AGENT"])(lambda reason: get_job_context().shutdown(reason=reason))
    text_only = room_io.RoomOptions(audio_input=False, audio_output=False)
    await session.start(agent=agent, room=ctx.room, room_options=text_only)


if __name__ == "__main__":
    cli.run_app(server)
