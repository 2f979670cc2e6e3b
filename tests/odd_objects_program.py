"""A deadlock among objects that fight back: prints what was logged, and which of their methods a look has called."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import xmlrpc.client
from typing import Any

import wrapt
from detection_program import Desk, records, start

calls: list[str] = []


def fighting(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        raise RuntimeError(name)

    return method


METHODS = ("__eq__", "__hash__", "__len__", "__bool__", "__repr__", "__str__", "__iter__", "__call__", "__contains__")
Meta = type("Meta", (type,), {name: fighting(f"Meta.{name}") for name in ("__eq__", "__hash__", "__instancecheck__")})
Odd: Any = Meta("Odd", (), {**{name: fighting(name) for name in METHODS}, "__getattr__": fighting("__getattr__")})


def lazily() -> Any:
    calls.append("the lazy object is evaluated")
    raise RuntimeError


class OddFuture(asyncio.Future):  # type: ignore[type-arg]
    """Awaited by a task that has nothing to do with the deadlock."""

    __hash__ = fighting("OddFuture.__hash__")
    __eq__ = fighting("OddFuture.__eq__")


async def unrelated() -> None:
    odd, lazy, large = Odd(), wrapt.LazyObjectProxy(lazily), dict.fromkeys(range(1_000_000))
    await asyncio.sleep(60)
    del odd, lazy, large


async def awaits_odd_future() -> None:
    await OddFuture()


class OddDesk(Desk):
    def __init__(self) -> None:
        super().__init__(Desk.inner)
        self.odd, self.lazy = Odd(), wrapt.LazyObjectProxy(lazily)


async def main() -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(3600, xmlrpc.client.ServerProxy("http://127.0.0.1:9/").ping)
    others = [asyncio.ensure_future(unrelated()), asyncio.ensure_future(awaits_odd_future())]
    for task in others:
        task.add_done_callback(Odd())
        task.add_done_callback(wrapt.LazyObjectProxy(lazily))
    session = await start(OddDesk())
    handle = session.generate_reply(user_input="ask")
    handle._done_fut.add_done_callback(Odd())
    await asyncio.sleep(0.3)
    calls.clear()  # what livekit-agents and asyncio themselves have called
    await asyncio.sleep(0.7)
    print(json.dumps({"levels": [record["level"] for record in records], "calls": calls}))
    sys.stdout.flush()
    os._exit(0)


asyncio.run(main())
