"""Several event loops, and loops in loops."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Callable

from cast import some_time
from virtual_time import VirtualTimeLoop

import onenter_deadlock_fix

from .deadlocks import nested, quick


class Unwatchable(VirtualTimeLoop):
    """An event loop that refuses detection's timer, and no other one."""

    def call_later(self, delay: float, callback: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        if getattr(callback, "__module__", "").startswith("onenter_deadlock_fix."):
            raise NotImplementedError
        return super().call_later(delay, callback, *args, **options)


def _in_a_thread(loop: asyncio.AbstractEventLoop, program: Callable[[], Coroutine[Any, Any, Any]]) -> threading.Thread:
    """Have a thread play a program, or let it hang for some seconds of that loop."""

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.wait([loop.create_task(program())], timeout=3))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


async def one_that_cannot_be_watched(first: str) -> str:
    """An event loop that can't be watched, and then this one."""
    other = Unwatchable()  # which is there as long as the status is to speak of it
    _in_a_thread(other, {"quick": quick, "nested": nested}[first]).join()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(nested(), 2)
    assert not other.is_running()
    return onenter_deadlock_fix.status().reason


async def one_each_in_two_threads() -> None:
    """Two threads with an event loop each, in both of which the same hangs, and this loop goes on."""
    for thread in [_in_a_thread(VirtualTimeLoop(), nested) for _ in range(2)]:
        thread.join()
    await quick()


async def nest_asyncio_is_applied_meanwhile() -> None:
    """nest_asyncio is applied when the tasks that hang are there already."""
    import nest_asyncio  # type: ignore[import-untyped]

    hanging = asyncio.ensure_future(nested())
    await asyncio.sleep(0.05)
    nest_asyncio.apply()
    await hanging


async def runs_in_a_run() -> None:
    """The event loop is run once more in a task that is running, as in a notebook."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(asyncio.TimeoutError):
        loop.run_until_complete(asyncio.wait_for(nested(), 2))
    await some_time()
