"""A program whose own logging has its ways, and in which something hangs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import logging

from cast import Desk, start
from livekit.agents import function_tool
from recorder import LOGGER, recorder

from onenter_deadlock_fix.detection.console import HideData

from .deadlocks import nested, slow

call_id: contextvars.ContextVar[str] = contextvars.ContextVar("call_id")  # set by each call, and without a default


class AddCallId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.call_id = call_id.get()
        return True


async def filtered(of: str) -> None:
    """A filter of the handler reads a context variable of the call."""
    recorder().addFilter(AddCallId())
    call_id.set("call-17")
    await {"deadlock": nested, "wait": slow}[of]()


async def filtered_in_two_calls() -> None:
    """Two calls in one event loop, each with a context of its own."""
    recorder().addFilter(AddCallId())

    async def call(number: int) -> None:
        call_id.set(f"call-{number}")
        await nested()

    await asyncio.gather(asyncio.create_task(call(1)), asyncio.create_task(call(2)))


async def disabled_at_first(how: str) -> None:
    """Errors are not logged until a second has gone, as while livekit-agents sets logging up in a job."""
    level = LOGGER.level
    if how == "logger":
        LOGGER.disabled = True
    elif how == "level":
        LOGGER.setLevel(logging.CRITICAL)
    else:
        logging.disable(logging.CRITICAL)
    hanging = asyncio.ensure_future(nested())
    await asyncio.sleep(1)
    LOGGER.disabled = False
    LOGGER.setLevel(level)
    logging.disable(logging.NOTSET)
    await hanging


async def failing_at_first(times: int) -> None:
    """A handler raises the first few times."""

    class Failing(logging.Handler):
        left = times

        def handle(self, record: logging.LogRecord) -> bool:
            if "deadlock" in vars(record) and self.left:
                self.left -= 1
                raise OSError("no space left on device")
            return True

    LOGGER.handlers.insert(0, Failing())
    await nested()


async def failing_always() -> None:
    """A handler raises whatever it is given."""

    class Failing(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError("no space left on device")

    LOGGER.addHandler(Failing())
    await nested()


class Sharing(Desk):
    """Three tools share the function that waits."""

    async def shared(self, what: str) -> None:
        await self.session.generate_reply(user_input=what, tool_choice="auto")  # all of them wait here

    @function_tool
    async def look_up(self) -> None:
        await self.shared("collect")  # look_up calls here

    @function_tool
    async def confirm(self) -> None:
        await self.shared("collect")  # confirm calls here

    @function_tool
    async def note_down(self) -> None:
        await self.shared("collect")  # note_down calls here


async def shared_by_three_tools(tool: str) -> None:
    session = await start(Sharing())
    await session.generate_reply(user_input=tool)


async def on_the_console() -> str:
    """A line of the user's, which waits, has what rich takes for markup; return what is on livekit-agents' console."""
    from livekit.agents.cli.cli import AgentsConsole

    async def wait(desk: Desk) -> None:
        await desk.inner()  # and then: [/calm]

    printed = io.StringIO()
    console = AgentsConsole()
    console.console.file, console.console.width = printed, 80
    LOGGER.addHandler(console._log_handler)
    session = await start(Desk(wait))
    session.generate_reply(user_input="ask")
    await asyncio.sleep(1)
    return printed.getvalue()


async def without_handlers() -> str:
    """The program has not set logging up; return what is on standard error."""
    for handlers in (LOGGER.handlers, logging.getLogger().handlers):
        handlers[:] = [handler for handler in handlers if isinstance(handler, HideData)]
    LOGGER.propagate = True
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        session = await start(Desk(Desk.inner))
        session.generate_reply(user_input="ask")
        await asyncio.sleep(1)
    return printed.getvalue()
