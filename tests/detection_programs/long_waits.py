"""Waits for what only a turn of the user, a plugin, the room or other code could end, and waits that do end."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Callable

from cast import Ask, Desk, Lobby, Name, some_time, start
from livekit import rtc
from livekit.agents import Agent, AgentSession, RunContext, function_tool
from livekit.agents.beta.workflows.task_group import TaskGroup
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput
from speaker import Speaker, sound

from onenter_deadlock_fix.verify.agents import complete
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


async def _change_while_it_speaks(agent: Agent, audio: Any, **options: Any) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(lambda _: "Hello."), **options)
    session.output.audio = audio
    await session.start(agent)
    session.generate_reply(user_input="hello")
    await some_time()
    session.update_agent(Lobby())
    await asyncio.sleep(5)


def _unsubscribed() -> _ParticipantAudioOutput:
    room, options = rtc.Room(), rtc.TrackPublishOptions()
    return _ParticipantAudioOutput(room, sample_rate=16000, num_channels=1, track_publish_options=options)


async def nobody_has_subscribed() -> None:
    """livekit/agents #4152, #4345: session.update_agent() waits for a reply that nobody listens to."""
    await _change_while_it_speaks(Aloud(), _unsubscribed())


async def plugin_never_finishes() -> None:
    """session.update_agent() waits for a reply, and that for the text-to-speech of a plugin."""
    await _change_while_it_speaks(Desk(), Speaker(0), tts=acme_plugin.AcmeTTS())


async def plugin_never_closes() -> None:
    """on_exit() awaits the aclose() of an installed plugin."""

    class Leaving(Lobby):
        async def on_exit(self) -> None:
            await acme_plugin.Client().aclose()  # on_exit closes the client here

    session = await start(Leaving())
    session.update_agent(Lobby())
    await asyncio.sleep(5)


class Asking(Desk):
    def __init__(self, ask: Callable[[], Ask] = Ask) -> None:
        super().__init__()
        self._ask = ask

    @function_tool
    async def collect(self) -> str:
        return await self._ask()  # collect awaits Ask here


async def displaced(completes: bool = False) -> None:
    """Another agent takes the place of an AgentTask, which nobody completes, or a helper task of its own."""

    class Later(Ask):
        async def on_enter(self) -> None:
            self.helper = asyncio.create_task(self.complete_later())

        async def complete_later(self) -> None:
            await asyncio.sleep(3)
            complete(self, "42")

    session = await start(Asking(Later if completes else Ask))
    reply = session.generate_reply(user_input="collect")
    await asyncio.sleep(0.1)
    session.update_agent(Lobby())
    await reply


class Own:
    """An awaitable of the user's whose iterator is no generator, so that its stack can't be read."""

    def __init__(self, agent_task: Ask) -> None:
        iterator = agent_task.__await__()
        self.send, self.throw = iterator.send, iterator.throw

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def __next__(self) -> Any:
        return self.send(None)


async def awaited_by_an_awaitable_of_the_users() -> None:
    """A tool awaits an AgentTask, and a tool of that awaits another one in an awaitable of the user's."""

    class Outer(Ask):
        async def on_enter(self) -> None:
            self.session.generate_reply(user_input="inner")

        @function_tool
        async def inner(self) -> str:
            return str(await Own(Ask()))

    session = await start(Asking(Outer))
    await session.generate_reply(user_input="collect")


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


def running(wait: Callable[[Desk], Any]) -> Callable[[], Any]:
    """Make a program of the way in which the tool ``ask`` waits, which session.run() calls."""

    @functools.wraps(wait)
    async def program() -> None:
        session = await start(Aloud(wait))
        await session.run(user_input="ask")

    return program


@running
async def run_behind_what_nobody_hears(desk: Desk) -> None:
    """session.run() while the agent speaks, and nobody has subscribed to its audio."""
    desk.session.output.audio = _unsubscribed()


@running
async def run_with_slow_words(desk: Desk) -> None:
    """session.run() while the user's own code takes its time to find the words of a say()."""

    async def words() -> AsyncIterator[str]:
        await asyncio.sleep(2)
        yield "here they are"

    desk.session.say(words())


@running
async def run_with_a_long_playout(desk: Desk) -> None:
    """session.run() while the answer is being played."""
    desk.session.output.audio = Speaker(2)
    desk.session.say("Here they are.", audio=sound())


@running
async def run_with_a_moment_of_on_enter(_: Desk) -> None:
    """session.run() whose tool takes its time, and then on_enter of an AgentTask does for a moment."""

    class Entering(Name):
        async def on_enter(self) -> None:
            await asyncio.sleep(0.18)  # there is a check each 0.2 s, and one in this moment
            await super().on_enter()

    await asyncio.sleep(0.5)
    await Entering()


async def sibling_takes_its_speech_out_of_the_run() -> None:
    """One tool waits for its own speech, and the other one awaits an AgentTask after a while, which ends the run."""

    class Two(Lobby):
        @function_tool
        async def wait(self, context: RunContext[None]) -> None:
            """Waits for itself."""
            await asyncio.shield(context.speech_handle._done_fut)

        @function_tool
        async def hand_over(self) -> None:
            await asyncio.sleep(2)
            await Ask()

    both = [ToolCall("wait"), ToolCall("hand_over")]
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(lambda ctx: both if cue(ctx).text == "both" else ""))
    await session.start(Two())
    await session.run(user_input="both")
