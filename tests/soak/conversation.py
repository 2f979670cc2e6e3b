"""A session whose on_enter awaits replies, whose tools await AgentTasks, many times in a row and one in the other."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, function_tool, llm

from onenter_deadlock_fix.verify.scripted_model import Answer, Script, ScriptedLLM, ToolCall

HANDOFFS_PER_REPLY = 10


def calls(tool: str) -> Script:
    """Return the script of a model that calls a tool in each reply, and says something when the tool has returned."""

    def script(chat_ctx: llm.ChatContext) -> Answer:
        return "Done." if chat_ctx.items[-1].type == "function_call_output" else [ToolCall(tool)]

    return script


class Conversation:
    """A session that has a number of handoffs to go through, and what there is to know of it afterwards."""

    def __init__(self, handoffs: int) -> None:
        self.to_do = handoffs
        self.done = 0
        self.over = asyncio.Event()  # on_enter has gone on after its last reply
        self.seen = Seen()
        self.session: AgentSession[Any] = AgentSession(llm=ScriptedLLM(calls("work")))
        self.seen.note("AgentSession", self.session)

    async def start(self) -> None:
        await self.session.start(FrontDesk(self))

    async def hand_over(self) -> None:
        """Await the next AgentTask; to be called in a tool."""
        kinds = [AtOnce, Talking, Nesting] if self.to_do > 1 else [AtOnce]
        kind = kinds[self.done % len(kinds)]
        self.to_do -= 1
        expected = self.to_do
        agent_task = kind(self, expected)
        assert await agent_task == expected
        self.done += 1


class Seen:
    """Weak references to what a conversation has brought into being."""

    def __init__(self) -> None:
        self._references: list[tuple[str, weakref.ref[Any]]] = []

    def note(self, kind: str, thing: Any) -> None:
        self._references.append((kind, weakref.ref(thing)))

    def alive(self) -> list[str]:
        """Return the kinds of what is still alive, a kind as often as there are things of it."""
        return [kind for kind, reference in self._references if reference() is not None]


class FrontDesk(Agent):
    """Awaits replies in on_enter until there is no work left."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(instructions="")
        self._conversation = conversation
        conversation.seen.note("Agent", self)

    async def on_enter(self) -> None:
        seen, activity = self._conversation.seen, self._get_activity_or_raise()
        seen.note("AgentActivity", activity)
        seen.note("task of on_enter", asyncio.current_task())
        while self._conversation.to_do:
            await self.session.generate_reply()
        self._conversation.over.set()

    @function_tool
    async def work(self) -> str:
        self._conversation.seen.note("task of a tool", asyncio.current_task())
        for _ in range(HANDOFFS_PER_REPLY):
            if self._conversation.to_do:
                await self._conversation.hand_over()
        return "done"


class _Step(AgentTask[int]):
    def __init__(self, conversation: Conversation, result: int, model: llm.LLM | None = None) -> None:
        if model is None:
            super().__init__(instructions="")
        else:
            super().__init__(instructions="", llm=model)
        self._conversation = conversation
        self._result = result
        conversation.seen.note("AgentTask", self)

    async def on_enter(self) -> None:
        self._conversation.seen.note("AgentActivity", self._get_activity_or_raise())
        self._conversation.seen.note("task of on_enter", asyncio.current_task())
        await self.play()

    async def play(self) -> None:
        raise NotImplementedError


class AtOnce(_Step):
    """Completes as soon as it is entered."""

    async def play(self) -> None:
        self.complete(self._result)


class Talking(_Step):
    """Completes in a tool of a reply that nobody awaits."""

    def __init__(self, conversation: Conversation, result: int) -> None:
        super().__init__(conversation, result, ScriptedLLM(calls("finish")))

    async def play(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def finish(self) -> None:
        self.complete(self._result)


class Nesting(_Step):
    """The pattern within the pattern: its on_enter awaits a reply whose tool awaits another AgentTask."""

    def __init__(self, conversation: Conversation, result: int) -> None:
        super().__init__(conversation, result, ScriptedLLM(calls("go_deeper")))

    async def play(self) -> None:
        await self.session.generate_reply()
        self.complete(self._result)

    @function_tool
    async def go_deeper(self) -> str:
        self._conversation.seen.note("task of a tool", asyncio.current_task())
        self._conversation.to_do -= 1
        result = self._conversation.to_do
        assert await AtOnce(self._conversation, result) == result
        self._conversation.done += 1
        return "done"
