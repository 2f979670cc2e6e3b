"""A tool awaits a reply whose own tool awaits an AgentTask, in many ways: some hang, others end by themselves.

The handoff waits for the outer reply, that for its tool ``ask``, and that for the inner reply, whose tool awaits the
AgentTask. No release has a fix for that. What ``ask`` does besides decides whether the cycle is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, Callable

import anyio
from livekit.agents import function_tool

from onenter_deadlock_fix.verify.scripted_model import ToolCall

from . import add_scenario, scenario
from .stage import Counter, Lobby, Name, happens, note, quiet, reply, start, step

LONG = 0.4  # seconds; detection checks several times meanwhile
INNER = "a reply whose tool awaits an AgentTask"


class Asking(Counter):
    """Its tool ``ask`` awaits the inner reply in the way that it is given."""

    def __init__(self, way: Callable[[Asking], Awaitable[Any]]) -> None:
        super().__init__()
        self._way = way

    def inner(self) -> Awaitable[None]:
        return reply(self.session, user_input="desk", tool_choice="auto")

    def inner_task(self) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.inner())

    async def _wait(self) -> None:
        await self._way(self)

    @function_tool
    async def ask(self) -> str:
        await note("ask", self._wait())
        return "asked"


async def play(way: Callable[[Asking], Awaitable[Any]], agent: type[Asking] = Asking, **answers: Any) -> None:
    """Have the user ask, and wait for the reply."""
    session = await start(agent(way), {"question": [ToolCall("ask")], "ask": "Asked.", **answers})
    await note("the user", reply(session, user_input="question"))


def add_way(name: str, sentence: str, way: Callable[[Asking], Awaitable[Any]], **expectation: Any) -> Any:
    """Make a scenario of a function that gets the agent, and returns what its tool ``ask`` awaits."""

    async def played() -> None:
        await play(way)

    return add_scenario(name, sentence, played, **expectation)


def way(**expectation: Any) -> Callable[[Any], Any]:
    """Make a scenario of a coroutine function that gets the agent."""
    return lambda function: add_way(function.__name__, function.__doc__, function, **expectation)


async def without(error: type[BaseException], awaitable: Awaitable[Any]) -> None:
    """Await, and go on if this error is raised."""
    with contextlib.suppress(error):
        await awaitable


async def hang_up() -> None:
    """Fail after a while."""
    await asyncio.sleep(LONG)
    raise ConnectionError


add_way(
    "a_tool_awaits_a_reply", "A tool awaits a reply whose own tool awaits an AgentTask.", Asking.inner, resolved=True
)
for _name, _what, _way in (
    ("gather", "asyncio.gather() of a sleep and of", lambda agent: asyncio.gather(asyncio.sleep(0), agent.inner())),
    ("shield", "asyncio.shield() of", lambda agent: asyncio.shield(agent.inner())),
    ("wait", "asyncio.wait() for a task that awaits", lambda agent: asyncio.wait([agent.inner_task()])),
    ("wait_for", "asyncio.wait_for() without a time-out, of", lambda agent: asyncio.wait_for(agent.inner(), None)),
):
    add_way(f"hangs_in_{_name}", f"A tool awaits {_what} {INNER}.", _way, resolved=True)


@way(resolved=True)
async def hangs_in_a_task_group(asking: Asking) -> None:
    """A tool awaits a reply, whose tool awaits an AgentTask, in a task group (in a gather before Python 3.11)."""
    if sys.version_info < (3, 11):
        await asyncio.gather(asking.inner())
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(asking.inner())


@way(resolved=True)
async def hangs_in_a_task_group_of_anyio(asking: Asking) -> None:
    """A tool awaits a reply, whose tool awaits an AgentTask, in a task group of anyio."""
    async with anyio.create_task_group() as group:
        group.start_soon(asking.inner)


@way(resolved=True)
async def hangs_in_as_completed(asking: Asking) -> None:
    """A tool awaits asyncio.as_completed() of something quick and of a reply whose tool awaits an AgentTask."""
    for next_one in asyncio.as_completed([asyncio.sleep(0), asking.inner()]):
        await next_one


@way(resolved=True)
async def hangs_after_a_time_out(asking: Asking) -> None:
    """A tool gives a reply, whose tool awaits an AgentTask, a time-out, and then awaits it all the same."""
    inner = asking.inner_task()
    await without(asyncio.TimeoutError, asyncio.wait_for(asyncio.shield(inner), LONG))
    step("time-out")
    await inner


@way(resolved=True)
async def hangs_in_session_run(asking: Asking) -> None:
    """A helper task of a tool awaits session.run(), whose reply has a tool that awaits an AgentTask."""

    async def run() -> None:
        await asking.session.run(user_input="desk")

    await asyncio.ensure_future(run())  # in a task, as the replies of a tool have no tools themselves


class Locking(Lobby):
    """Its tool ``collect`` awaits an AgentTask in the block of a lock that the tool ``look_up`` waits for."""

    def __init__(self, locked: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        super().__init__()
        self._locked = locked

    @function_tool
    async def collect(self) -> str:
        async with self._locked():
            await happens("look_up awaits")
            return await note("collect", Name())

    @function_tool
    async def look_up(self) -> None:
        await note("look_up", self._look_up())

    async def _look_up(self) -> None:
        async with self._locked():
            step("look_up has the lock")


async def play_locking(locked: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    session = await start(Locking(locked), {"look it up": [ToolCall("look_up")], "look_up": "Here it is."})
    session.generate_reply(user_input="desk")
    await quiet()
    session.generate_reply(user_input="look it up")
    await happens("look_up goes on")
    await quiet()


@scenario(resolved=True)
async def hangs_in_a_lock() -> None:
    """A tool awaits an AgentTask in the block of a lock that the tool of another reply waits for."""
    lock = asyncio.Lock()
    await play_locking(lambda: lock)


@scenario(resolved=True)
async def hangs_in_a_lock_in_a_context_manager() -> None:
    """A tool awaits an AgentTask in the block of a context manager of its own, which holds such a lock."""
    lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(lock)
            yield

    await play_locking(locked)


@scenario(resolved=True)
async def hangs_in_a_condition() -> None:
    """A tool awaits an AgentTask in the block of a condition that the tool of another reply waits for."""
    condition = asyncio.Condition()
    await play_locking(lambda: condition)


# What aborts the wait. Until then each of these is a deadlock, since nothing on the cycle can complete.


@way(aborted=True)
async def ends_with_a_time_out(asking: Asking) -> None:
    """A tool gives a reply, whose tool awaits an AgentTask, a time-out by asyncio.wait_for(), and gives up."""
    await without(asyncio.TimeoutError, asyncio.wait_for(asking.inner(), LONG))


@way(aborted=True)
async def ends_when_a_timer_cancels_it(asking: Asking) -> None:
    """A timer cancels the task by which a tool awaits a reply whose tool awaits an AgentTask."""
    inner = asking.inner_task()
    asyncio.get_running_loop().call_later(LONG, inner.cancel)
    await without(asyncio.CancelledError, inner)


@way(aborted=True)
async def ends_when_another_one_fails_in_gather(asking: Asking) -> None:
    """A tool awaits asyncio.gather() of a reply, whose tool awaits an AgentTask, and of something that fails."""
    await without(ConnectionError, asyncio.gather(asking.inner(), hang_up()))


@way(aborted=True)
async def ends_when_another_one_fails_in_wait(asking: Asking) -> None:
    """A tool awaits asyncio.wait() until one fails, and it is not the reply whose tool awaits an AgentTask."""
    tasks = [asking.inner_task(), asyncio.ensure_future(hang_up())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    tasks[1].exception()


# What completes the wait. None of these is a deadlock.


@way()
async def ends_with_the_time_out_of_wait(asking: Asking) -> None:
    """A tool awaits asyncio.wait() with a time-out, for a task that awaits a reply whose tool awaits an AgentTask."""
    await asyncio.wait([asking.inner_task()], timeout=LONG)


@way()
async def ends_with_the_first_one(asking: Asking) -> None:
    """A tool awaits the first of a sleep and a reply whose tool awaits an AgentTask."""
    tasks = [asking.inner_task(), asyncio.ensure_future(asyncio.sleep(LONG))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


@way()
async def ends_with_the_first_of_as_completed(asking: Asking) -> None:
    """A tool takes what comes first of a reply, whose tool awaits an AgentTask, and of a future that a timer sets."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(LONG, future.set_result, None)
    await next(iter(asyncio.as_completed([asking.inner_task(), future])))


async def later(function: Callable[[], object]) -> None:
    """Call a function when the inner tool has waited for a while."""
    await happens("collect awaits")
    await asyncio.sleep(LONG)
    function()


@way()
async def ends_with_either_callback(asking: Asking) -> None:
    """A tool awaits a future that is resolved when a reply is over, whose tool awaits an AgentTask, or by the user."""
    either = asyncio.get_running_loop().create_future()

    def resolve(*_: object) -> None:
        if not either.done():
            either.set_result(None)

    asking.inner_task().add_done_callback(resolve)
    speaking = asyncio.ensure_future(later(resolve))
    await either
    await speaking


@way()
async def ends_with_an_event(asking: Asking) -> None:
    """A tool of another reply waits for what the user does next, and the handoff waits for that reply."""
    event = asyncio.Event()
    asking.session.generate_reply(user_input="desk", tool_choice="auto")
    speaking = asyncio.ensure_future(later(event.set))
    await event.wait()
    await speaking


@way()
async def ends_with_a_thread(asking: Asking) -> None:
    """A tool of another reply waits for a thread."""
    asking.session.generate_reply(user_input="desk", tool_choice="auto")
    await asyncio.to_thread(time.sleep, LONG)


@scenario(reported="on 1.7.0 two tools close the activity that they come back to")
async def a_sibling_tool_awaits_an_agent_task_later() -> None:
    """A sibling of ``ask`` awaits an AgentTask later, which takes the reply out of the handoff from 1.7.0 on."""

    class WithSibling(Asking):
        @function_tool
        async def sibling(self) -> str:
            """Collects the user's name later."""
            await note("sibling", asyncio.sleep(LONG))
            return await note("sibling", Name())

    await play(Asking.inner, WithSibling, question=[ToolCall("ask"), ToolCall("sibling")])
