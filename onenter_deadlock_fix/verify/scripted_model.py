"""A language model that follows a script: no keys, no network, the same on every livekit-agents from 1.2.0 on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Union

from livekit.agents import llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions


@dataclass(frozen=True)
class ToolCall:
    """A call of the function tool ``name``."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


# What the model answers: a text, or the tools it calls.
Answer = Union[str, list[ToolCall]]
Script = Callable[[llm.ChatContext], Answer]


class ScriptedLLM(llm.LLM):  # type: ignore[type-arg]  # its events, of which it adds none
    """A real ``LLM`` whose answers are what ``script`` returns for the chat context of the request."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    # the other parameters differ from release to release
    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[Any] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        answer = self._script(chat_ctx)
        return _ScriptedStream(self, answer, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _ScriptedStream(llm.LLMStream):
    def __init__(self, model: ScriptedLLM, answer: Answer, **request: Any) -> None:
        self._answer = answer
        super().__init__(model, **request)

    async def _run(self) -> None:
        if isinstance(self._answer, str):
            delta = llm.ChoiceDelta(role="assistant", content=self._answer)
        else:
            calls = [
                llm.FunctionToolCall(
                    name=call.name, arguments=json.dumps(dict(call.arguments)), call_id=f"call_{id(self)}_{number}"
                )
                for number, call in enumerate(self._answer)
            ]
            delta = llm.ChoiceDelta(role="assistant", tool_calls=calls)
        self._event_ch.send_nowait(llm.ChatChunk(id=f"chunk_{id(self)}", delta=delta))
