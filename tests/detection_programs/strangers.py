"""Programs of the kinds that strangers' programs have shown to be missed, reported twice or without a place."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from cast import Ask, Desk, Lobby, Name, some_time, start
from livekit import rtc
from livekit.agents import Agent, AgentSession, RunContext, function_tool
from livekit.agents.beta.workflows.task_group import TaskGroup
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput
from speaker import Speaker, sound

from onenter_deadlock_fix.verify.scripted_model import ScriptedLLM, ToolCall, cue

sys.path.append(str(Path(__file__).with_name("site-packages")))
import acme_plugin  # type: ignore[import-not-found]


class Aloud(Desk):
    """What it says has a sound."""

    async def tts_node(self, text: Any, model_settings: Any) -> AsyncIterator[rtc.AudioFrame]:
        async for _ in text:
            pass
        async for frame in sound():
            yield frame


def _unsubscribed() -> _ParticipantAudioOutput:
    known = inspect.signature(_ParticipantAudioOutput).parameters
    options = {"sample_rate": 16000, "num_channels": 1, "track_publish_options": rtc.TrackPublishOptions()}
    return _ParticipantAudioOutput(None, **{name: value for name, value in options.items() if name in known})  # type: ignore[arg-type]


async def _then_change(agent: Agent, audio: Any = None, **options: Any) -> None:
    """Have an agent say something that never ends, and then change the agent."""
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(lambda _: "Hello."), **options)
    session.output.audio = audio
    await session.start(agent)
    session.generate_reply(user_input="hello")
    await some_time()
    session.update_agent(Lobby())
    await asyncio.sleep(5)


async def nobody_has_subscribed() -> None:
    """livekit/agents #4152, #4345: nobody listens to the agent's audio."""
    await _then_change(Aloud(), _unsubscribed())


async def plugin_never_finishes() -> None:
    """The text-to-speech of a plugin never finishes."""
    await _then_change(Desk(), Speaker(0), tts=acme_plugin.AcmeTTS())


async def plugin_never_closes() -> None:
    """on_exit() awaits the aclose() of an installed plugin."""

    class Leaving(Lobby):
        async def on_exit(self) -> None:
            await acme_plugin.Client().aclose()  # on_exit closes the client here

    session = await start(Leaving())
    session.update_agent(Lobby())
    await asyncio.sleep(5)


async def nobody_has_subscribed_in_a_run() -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(lambda _: "Hello."))
    session.output.audio = _unsubscribed()
    await session.start(Aloud())
    await session.run(user_input="hello")


async def played_meanwhile() -> None:
    """A sentence is being said while a handoff hangs, and then is over."""

    class Talking(Desk):
        @function_tool
        async def collect(self) -> str:

            async def words() -> AsyncIterator[str]:
                yield "One moment, "
                await asyncio.sleep(3)
                yield "please."

            self.session.say(words())
            return await Name()

    await (await start(Talking(Desk.inner))).generate_reply(user_input="ask")


async def tried_again_and_again() -> None:
    """A tool gives up the reply that it waits for, and waits for it again, in a task of wait_for()'s each time."""

    async def wait(desk: Desk) -> None:
        reply = desk.session.generate_reply(user_input="collect", tool_choice="auto")

        async def waiting() -> None:
            await reply

        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(waiting(), 0.7)

    await (await start(Desk(wait))).generate_reply(user_input="ask")


async def sibling_takes_its_speech_out_of_the_run() -> None:
    """One tool waits for its own speech, and the other one awaits an AgentTask after a while, which ends the run."""

    class Two(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="")

        @function_tool
        async def wait(self, context: RunContext[None]) -> None:
            """Waits for itself."""
            await asyncio.shield(context.speech_handle._done_fut)

        @function_tool
        async def hand_over(self) -> None:

            await asyncio.sleep(2)
            await Ask()

    both = [ToolCall("wait"), ToolCall("hand_over")]
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(lambda context: both if cue(context).text == "both" else "")
    )
    await session.start(Two())
    await session.run(user_input="both")


async def task_group_and_hang_up() -> None:
    """The caller hangs up in the middle of a TaskGroup of livekit-agents."""

    class Survey(Lobby):
        async def on_enter(self) -> None:
            group = TaskGroup()
            group.add(lambda: Ask(), id="ask", description="asks")
            await group  # on_enter awaits the group here

    session = await start(Survey())
    await some_time()
    await session.aclose()
    await asyncio.sleep(3)
