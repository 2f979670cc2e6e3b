"""Hangs in unusual surroundings: event loops and logging of the program's own, switches, and errors of detection."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import logging
import threading
from collections.abc import Coroutine
from typing import Any, Callable

from cast import Desk, some_time
from recorder import LOGGER, recorder
from scenarios.stage import performance
from virtual_time import VirtualTimeLoop

import onenter_deadlock_fix
from onenter_deadlock_fix.detection import snapshot
from onenter_deadlock_fix.detection.console import HideExtraFields

from .deadlocks import hang, nested, quick

Program = Callable[[], Coroutine[Any, Any, Any]]


class Unwatchable(VirtualTimeLoop):
    """An event loop that refuses detection's timer, and no other one."""

    def call_later(self, delay: float, callback: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        if getattr(callback, "__module__", "").startswith("onenter_deadlock_fix."):
            raise NotImplementedError
        return super().call_later(delay, callback, *args, **options)


def _in_a_thread(loop: asyncio.AbstractEventLoop, program: Program) -> threading.Thread:
    """Have a thread play a program, or let it hang for some seconds of that loop."""

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.wait([loop.create_task(program())], timeout=3))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


async def one_that_cannot_be_watched(first: Program) -> str:
    """A program in an event loop that can't be watched, and then a deadlock in this one; return the status' reason."""
    other = Unwatchable()  # which is there as long as the status is to name it
    _in_a_thread(other, first).join()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(nested(), 2)
    assert not other.is_running()
    return onenter_deadlock_fix.status().reason


async def quick_twice() -> None:
    await quick()
    await quick()
    LOGGER.warning("both handoffs are over")


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


call_id: contextvars.ContextVar[str] = contextvars.ContextVar("call_id")  # set by each call, and without a default


async def filtered(inner: Program, calls: int) -> None:
    """Calls in one event loop, in a context each; a filter of the log handler reads a variable of that."""

    def add_call_id(record: logging.LogRecord) -> bool:
        record.call_id = call_id.get()
        return True

    async def call(number: int) -> None:
        call_id.set(f"call-{number}")
        await inner()

    recorder().addFilter(add_call_id)
    await asyncio.gather(*(asyncio.create_task(call(number)) for number in range(calls)))


async def disabled_at_first() -> None:
    """Nothing is logged until a second has gone, as while livekit-agents sets logging up in a job."""
    logging.disable(logging.CRITICAL)
    hanging = asyncio.ensure_future(nested())
    await asyncio.sleep(1)
    logging.disable(logging.NOTSET)
    await hanging


async def failing_handler(inner: Any, times: float) -> None:
    """A log handler, which comes last, raises so many times."""

    class Failing(logging.Handler):
        left = times

        def handle(self, record: logging.LogRecord) -> bool:
            self.left -= 1
            if self.left >= 0:
                raise OSError("no space left on device")
            return True

    LOGGER.addHandler(Failing())
    await performance(inner)


async def on_the_console() -> str:
    """A line of the user's, which waits, has what rich takes for markup; return what is on livekit-agents' console."""
    from livekit.agents.cli.cli import AgentsConsole

    async def wait(desk: Desk) -> None:
        await desk.inner()  # and then: [/calm]

    printed = io.StringIO()
    console = AgentsConsole()
    console.console.file, console.console.width = printed, 80
    LOGGER.addHandler(console._log_handler)
    await hang(Desk(wait), seconds=1)
    return printed.getvalue()


async def without_handlers() -> str:
    """The program has not set logging up; return what is on standard error."""
    for handlers in (LOGGER.handlers, logging.getLogger().handlers):
        handlers[:] = [handler for handler in handlers if isinstance(handler, HideExtraFields)]
    LOGGER.propagate = True
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        await hang(Desk(Desk.inner), seconds=1)
    return printed.getvalue()


async def switched(calls: list[str]) -> list[list[str]]:
    """Set modes, or deactivate the shim, while a handoff hangs; return the levels of what was logged after each."""
    hanging = asyncio.ensure_future(nested())
    await asyncio.sleep(0.5)
    logged = []
    for call in calls:
        before = len(recorder().records)
        if call == "deactivate":
            onenter_deadlock_fix.deactivate()
        else:
            onenter_deadlock_fix.detect(call, after=0.1)  # type: ignore[arg-type]
        await asyncio.sleep(1)
        logged.append([record.levelname for record in recorder().records[before:]])
    if "resolve" in calls:
        await hanging
    return logged


async def checks_fail(times: int) -> None:
    """The first checks fail."""
    right, failures = snapshot.LivekitEdges, iter(range(times))

    def failing(*args: Any, **kwargs: Any) -> Any:
        for _ in failures:
            raise RuntimeError("out of order")
        return right(*args, **kwargs)

    vars(snapshot)["LivekitEdges"] = failing
    await nested()
