"""An agent program as people write it: on_enter awaits a reply, its tool awaits an AgentTask. It knows no shim."""

from __future__ import annotations

import os

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    AgentTask,
    JobContext,
    cli,
    function_tool,
    get_job_context,
    room_io,
)
from livekit.plugins import openai

server = AgentServer()


class EmailTask(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask the user for an e-mail address and have it confirmed.")
        self._email = ""

    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Ask for the e-mail address.")

    @function_tool
    async def update_email(self, email: str) -> str:
        """Note the e-mail address that the user has given."""
        self._email = email
        return f"Noted {email}. Ask the user whether it is right."

    @function_tool
    async def confirm_email(self) -> None:
        """The user has confirmed the e-mail address."""
        self.complete(self._email)


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a receptionist who needs the e-mail address of every caller.")
        self._email = ""

    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Collect the e-mail address, then thank the user.")
        get_job_context().shutdown(reason=f"collected {self._email}")

    @function_tool
    async def collect_email(self) -> str:
        """Collect the user's e-mail address."""
        self._email = await EmailTask()
        return self._email


async def session_of(ctx: JobContext, agent: Agent) -> None:
    if os.environ["MODEL"] == "realtime":
        # RealtimeModel takes OPENAI_API_KEY from the environment, but not OPENAI_BASE_URL
        model = openai.realtime.RealtimeModel(base_url=os.environ["OPENAI_BASE_URL"])
    else:
        model = openai.LLM()
    session = AgentSession(llm=model)
    text_only = room_io.RoomOptions(audio_input=False, audio_output=False)
    await session.start(agent=agent, room=ctx.room, room_options=text_only)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await session_of(ctx, Receptionist())


if __name__ == "__main__":
    cli.run_app(server)
