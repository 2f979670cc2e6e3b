"""A realtime model that follows a script: no keys, no network, the same on every livekit-agents from 1.2.0 on."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

from livekit.agents import llm
from livekit.agents.llm import realtime

from onenter_deadlock_fix.verify.scripted_model import Script

T = TypeVar("T")

_TIMEOUT = 5.0  # seconds that OpenAI's waits for an answer
_CAPABILITIES = (
    *("turn_detection", "user_transcription", "manual_function_calls"),
    *("mutable_chat_context", "mutable_instructions", "mutable_tools"),
)
_numbers = itertools.count(1)


class ScriptedRealtimeModel(realtime.RealtimeModel):
    """A real ``RealtimeModel`` whose answers are what ``script`` returns for the instructions and what came after them.

    ``update_chat_ctx()`` of a closed session times out, as OpenAI's does.
    """

    def __init__(self, script: Script) -> None:
        names = [field.name for field in dataclasses.fields(realtime.RealtimeCapabilities)]
        super().__init__(capabilities=realtime.RealtimeCapabilities(**{name: name in _CAPABILITIES for name in names}))
        self.script = script

    def session(self, **_: Any) -> realtime.RealtimeSession[Any]:
        return _Session(self)

    async def aclose(self) -> None:
        pass


class _Session(realtime.RealtimeSession[Any]):
    def __init__(self, model: ScriptedRealtimeModel) -> None:
        super().__init__(model)
        self._script = model.script
        self._instructions = ""
        self._items_before: int | None = None  # how many items are older than the instructions
        self._chat_ctx = llm.ChatContext.empty()
        self._tools = llm.ToolContext.empty()
        self._is_closed = False

    chat_ctx = property(lambda self: self._chat_ctx)
    tools = property(lambda self: self._tools)

    async def update_instructions(self, instructions: str) -> None:
        self._instructions, self._items_before = instructions, None

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        if self._is_closed:
            await asyncio.sleep(_TIMEOUT)
            raise realtime.RealtimeError("update_chat_ctx timed out.")
        self._chat_ctx = chat_ctx.copy()
        if self._items_before is None:  # livekit-agents sets the instructions first, and then the agent's chat context
            self._items_before = len(chat_ctx.items)

    async def update_tools(self, tools: list[Any]) -> None:
        self._tools = llm.ToolContext(tools)

    def generate_reply(self, **_: Any) -> asyncio.Future[realtime.GenerationCreatedEvent]:
        conversation = llm.ChatContext.empty()
        conversation.add_message(role="system", content=self._instructions)
        conversation.items.extend(self._chat_ctx.items[self._items_before :])
        answer = self._script(conversation)
        calls = [] if isinstance(answer, str) else answer
        messages = [_message(answer)] if isinstance(answer, str) and answer else []
        functions = [
            llm.FunctionCall(name=call.name, arguments=json.dumps(dict(call.arguments)), call_id=_new_id("call"))
            for call in calls
        ]
        generation = _build(
            realtime.GenerationCreatedEvent,
            message_stream=_stream(messages),
            function_stream=_stream(functions),
            user_initiated=True,
            response_id=_new_id("response"),
        )
        return _completed(generation)

    async def aclose(self) -> None:
        self._is_closed = True

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Do nothing with audio, video, interruptions and options, which scripts don't look at."""

    push_audio = push_video = commit_audio = clear_audio = interrupt = truncate = update_options = _nothing


def _message(text: str) -> realtime.MessageGeneration:
    return _build(
        realtime.MessageGeneration,
        message_id=_new_id("message"),
        text_stream=_stream([text]),
        audio_stream=_stream([]),
        modalities=_completed(["text"]),
    )


def _new_id(kind: str) -> str:
    return f"{kind}_{next(_numbers)}"


def _build(cls: type[T], **values: Any) -> T:
    """Return a dataclass of the values that it has fields for on this release."""
    return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})


def _completed(result: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


async def _stream(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
