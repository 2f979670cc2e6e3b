"""Something is wrong with detection itself, or is odder than it knows."""

from __future__ import annotations

import asyncio
from typing import Any

from onenter_deadlock_fix.detection import livekit_edges, snapshot
from onenter_deadlock_fix.detection.stack import stack

from .deadlocks import nested, quick


async def look_fails(times: int) -> None:
    """The first looks fail."""
    right, left = livekit_edges.LivekitEdges, times

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError("out of order")
        return right(*args, **kwargs)

    vars(snapshot)["LivekitEdges"] = failing
    await nested()


async def loop_cannot_be_watched() -> None:
    """The event loop refuses detection's timer."""
    loop: Any = asyncio.get_running_loop()
    call_later = loop.call_later

    def refusing(delay: float, callback: Any, *args: Any, **options: Any) -> Any:
        if callback.__module__.startswith("onenter_deadlock_fix."):
            raise NotImplementedError
        return call_later(delay, callback, *args, **options)

    loop.call_later = refusing
    await quick()
    await quick()


class HoldsWhoAwaitsIt:
    """An awaitable that is its own iterator, and holds the coroutine that awaits it."""

    awaited_by: Any = None

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        future: Any = asyncio.get_running_loop().create_future()
        future._asyncio_future_blocking = True
        return future


async def stack_of_an_awaitable_that_holds_who_awaits_it() -> list[str]:
    async def waiting(awaitable: Any) -> None:
        await awaitable

    awaitable = HoldsWhoAwaitsIt()
    awaitable.awaited_by = waiting(awaitable)
    task = asyncio.create_task(awaitable.awaited_by)
    await asyncio.sleep(0)
    return [suspended.frame.f_code.co_name for suspended in stack(task)]
