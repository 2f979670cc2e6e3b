"""A scripted endpoint that speaks OpenAI's API, as far as livekit-plugins-openai uses it, on loopback.

It plays the language model, by the chat-completions stream and by the realtime websocket. On the websocket it plays
the user too: the server takes the user's turn by itself and starts the response, as server-side turn detection does.
What comes next is decided by the conversation in the request and by the tools that it offers, and by nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

from aiohttp import WSMsgType, web

ADDRESS = "ada@example.com"
QUESTION = "What is your e-mail address?"
CONFIRMATION = f"Is {ADDRESS} right?"
GOODBYE = f"Thank you, I have noted {ADDRESS}."

# What events were called in the beta of the realtime API, which livekit-plugins-openai 1.2.x speaks.
BETA_NAMES = {
    "conversation.item.added": "conversation.item.created",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio.delta": "response.audio.delta",
}

# What the user answers to what the agent has said.
USER_ANSWERS = {QUESTION: f"It is {ADDRESS}", CONFIRMATION: "Yes, that is right"}


class Item(NamedTuple):
    """What the script reads of a conversation: who said it, or which tool returned it."""

    by: str
    text: str


class ToolCall(NamedTuple):
    name: str
    arguments: dict[str, str] = {}  # noqa: RUF012

    def fields(self) -> dict[str, str]:
        return {"name": self.name, "arguments": json.dumps(self.arguments)}


Answer = Union[str, ToolCall]


def script(conversation: Sequence[Item], tools: Sequence[str]) -> Answer:
    """Return what the model answers."""
    last = conversation[-1] if conversation else Item("nobody", "")
    outputs = [item for item in conversation if item.by in ("arrange_call", "collect_email")]
    if "arrange_call" in tools:  # the operator
        if last.by == "user":
            return ToolCall("collect_email" if "address" in last.text else "arrange_call")
        return f"{outputs[-1].by} is done."
    if "collect_email" in tools:  # the receptionist
        return f"Thank you, I have noted {outputs[0].text}." if outputs else ToolCall("collect_email")
    if last.by == "update_email":
        return CONFIRMATION
    if last.by == "user":
        return ToolCall("update_email", {"email": ADDRESS}) if ADDRESS in last.text else ToolCall("confirm_email")
    return QUESTION


class Endpoint:
    """The endpoint, in a thread with an event loop of its own; a context manager.

    url: the base URL, for ``OPENAI_BASE_URL``.
    said: every text that the model has said, in order.
    called: every tool that it has called, in order.
    """

    def __init__(self) -> None:
        self.url = ""
        self.said: list[str] = []
        self.called: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai_endpoint")

    def __enter__(self) -> Endpoint:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._chat_completions)
        application.router.add_get("/v1/realtime", self._realtime)
        self._runner = web.AppRunner(application, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}/v1".format(*self._runner.addresses[0])

    def answer(self, conversation: Sequence[Item], tools: Sequence[str]) -> Answer:
        answer = script(conversation, tools)
        if isinstance(answer, str):
            self.said.append(answer)
        else:
            self.called.append(answer.name)
        return answer

    async def _chat_completions(self, request: web.Request) -> web.Response:
        body = await request.json()
        # the id of a call, which is the tool's name here, is all that its output has of the tool
        conversation = [
            Item(message.get("tool_call_id", message["role"]), str(message.get("content")))
            for message in body["messages"]
        ]
        answer = self.answer(conversation, [tool["function"]["name"] for tool in body.get("tools", ())])
        delta: dict[str, Any] = {"role": "assistant"}
        if isinstance(answer, str):
            delta["content"], finish_reason = answer, "stop"
        else:
            call = {"index": 0, "id": answer.name, "type": "function", "function": answer.fields()}
            delta["tool_calls"], finish_reason = [call], "tool_calls"
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {"id": "chatcmpl", "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
        events = f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\ndata: [DONE]\n\n"
        return web.Response(text=events, content_type="text/event-stream")

    async def _realtime(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        names = BETA_NAMES if request.headers.get("OpenAI-Beta") == "realtime=v1" else {}
        connection = _RealtimeConnection(self, socket, names)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await connection.on_client_event(message.json())
        return socket


class _RealtimeConnection:
    """One realtime session: the conversation and the tools as the client has set them, and the responses to it."""

    def __init__(self, endpoint: Endpoint, socket: web.WebSocketResponse, names: Mapping[str, str]) -> None:
        self._endpoint = endpoint
        self._socket = socket
        self._names = names
        self._ids = itertools.count(1)
        self._items: list[dict[str, Any]] = []
        self._tools: list[str] = []

    async def on_client_event(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            if "tools" in event["session"]:
                self._tools = [tool["name"] for tool in event["session"]["tools"]]
        elif event["type"] == "conversation.item.create":
            await self._add_item(event["item"], after=event.get("previous_item_id"))
        elif event["type"] == "conversation.item.delete":
            self._items = [item for item in self._items if item["id"] != event["item_id"]]
            await self._send("conversation.item.deleted", item_id=event["item_id"])
        elif event["type"] == "response.create":
            await self._respond(metadata=event["response"].get("metadata"))
        elif event["type"] != "response.cancel":  # there never is one to cancel: a response is sent in one go
            raise NotImplementedError(event["type"])

    async def _respond(self, metadata: object = None) -> None:
        answer = self._endpoint.answer([_as_item(item) for item in self._items], self._tools)
        response = {"id": self._new_id("resp"), "object": "realtime.response", "metadata": metadata}
        await self._send("response.created", response={**response, "status": "in_progress"})
        item: dict[str, Any] = {"id": self._new_id("item"), "type": "message", "role": "assistant", "content": []}
        if isinstance(answer, ToolCall):
            item = {"id": item["id"], "type": "function_call", "call_id": answer.name, **answer.fields()}
        await self._send("response.output_item.added", response_id=response["id"], item=item)
        await self._add_item(item)
        if isinstance(answer, str):
            part = {"response_id": response["id"], "item_id": item["id"]}
            await self._send("response.content_part.added", **part, part={"type": "audio", "transcript": ""})
            await self._send("response.output_audio_transcript.delta", **part, delta=answer)
            await self._send("response.output_audio.delta", **part, delta="AAAA" * 160)  # 10 ms of silence
        await self._send("response.output_item.done", response_id=response["id"], item=item)
        await self._send("response.done", response={**response, "status": "completed"})
        if isinstance(answer, str) and answer in USER_ANSWERS:
            await self._take_user_turn(USER_ANSWERS[answer])

    async def _take_user_turn(self, says: str) -> None:
        item = {"id": self._new_id("item"), "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        await self._add_item(item)
        item["content"] = [{"type": "input_audio", "transcript": says}]
        event = "conversation.item.input_audio_transcription.completed"
        await self._send(event, item_id=item["id"], content_index=0, transcript=says)
        await self._respond()

    async def _add_item(self, item: dict[str, Any], after: str | None = None) -> None:
        ids = [known["id"] for known in self._items]
        position = {None: len(ids), "root": 0}[after] if after in (None, "root") else ids.index(after) + 1
        self._items.insert(position, item)
        previous = ids[position - 1] if position else None
        await self._send("conversation.item.added", previous_item_id=previous, item=item)

    async def _send(self, event: str, **fields: object) -> None:
        name = self._names.get(event, event)
        await self._socket.send_json({"type": name, "event_id": self._new_id("event"), **fields})

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids)}"


def _as_item(item: dict[str, Any]) -> Item:
    if item["type"] == "message":
        texts = [part.get("transcript") or part.get("text") or "" for part in item["content"]]
        return Item(item["role"], " ".join(texts))
    return Item(item["call_id"] if "output" in item else "assistant", item.get("output", ""))
