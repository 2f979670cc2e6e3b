"""An agent program whose tool awaits a reply, whose own tool awaits an AgentTask. It knows no shim."""

from __future__ import annotations

from agent_program import EmailTask, cli, session_of  # noqa: F401
from livekit.agents import Agent, AgentServer, JobContext, function_tool, get_job_context

server = AgentServer()


class Operator(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You arrange calls, for which you need the e-mail address of every caller.")

    async def on_enter(self) -> None:
        self.session.generate_reply(user_input="Please call me back.")

    @function_tool
    async def arrange_call(self) -> str:
        """The user wants to be called back."""
        await self.session.generate_reply(user_input="Note my e-mail address first.", tool_choice="auto")
        get_job_context().shutdown(reason="arranged")
        return "arranged"

    @function_tool
    async def collect_email(self) -> str:
        """Collect the user's e-mail address."""
        return await EmailTask()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await session_of(ctx, Operator())
