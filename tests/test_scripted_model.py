"""The scripted model never gives two calls of tools the same id, however many there are."""

from __future__ import annotations

from typing import Any, Callable

CALLS = """
import asyncio, json
from livekit.agents import llm
from onenter_deadlock_fix.verify.scripted_model import ScriptedLLM, ToolCall

async def main():
    model = ScriptedLLM(lambda chat_ctx: [ToolCall("one"), ToolCall("two")])
    ids = []
    for _ in range(50):
        async for chunk in model.chat(chat_ctx=llm.ChatContext.empty()):
            ids += [call.call_id for call in chunk.delta.tool_calls]
    print(json.dumps([len(ids), len(set(ids))]))

asyncio.run(main())
"""


def test_each_call_has_an_id_of_its_own(output: Callable[..., Any]) -> None:
    assert output(CALLS) == [100, 100]
