"""A tool awaits a reply whose tool awaits an AgentTask, and somebody else ends that: it fails, or cancels it.

Until then each of these is a deadlock, since nothing on the cycle can complete. The last one is none: somebody else
brings what is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from typing import Any

import anyio
from livekit.agents.utils import aio

from .waits import LONG, Asking, later, way


class HungUp(Exception):
    """What fails beside the reply."""


async def caller() -> None:
    """Hang up after a while."""
    await asyncio.sleep(LONG)
    raise HungUp


async def in_gather(asking: Asking) -> None:
    """Await the inner reply and the caller at once."""
    with contextlib.suppress(HungUp):
        await asyncio.gather(asking.inner(), caller())


def beside(function: Any) -> Any:
    """Make a scenario of what a task does beside a tool that awaits a task of its own, ``asking.job``."""

    @functools.wraps(function)
    async def played(asking: Any) -> None:
        asking.job = asyncio.ensure_future(asking.inner())
        other = asyncio.ensure_future(function(asking))
        with contextlib.suppress(asyncio.CancelledError):
            await asking.job
        await other

    return way(played, aborted=True)


@way(aborted=True)
async def ends_when_another_one_fails_in_gather(asking: Asking) -> None:
    """A tool awaits asyncio.gather() of a reply, whose tool awaits an AgentTask, and of something that fails."""
    await in_gather(asking)


@way(aborted=True)
async def ends_when_another_one_fails_in_wait(asking: Asking) -> None:
    """A tool awaits asyncio.wait() until one fails, and it is not the reply whose tool awaits an AgentTask."""
    tasks = [asyncio.ensure_future(asking.inner()), asyncio.ensure_future(caller())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    tasks[1].exception()


@way(aborted=True)
async def ends_when_another_one_fails_in_a_task_group(asking: Asking) -> None:
    """A tool awaits a reply, whose tool awaits an AgentTask, in a task group in which something fails."""
    if sys.version_info < (3, 11):
        await in_gather(asking)
        return
    with contextlib.suppress(Exception):  # a group of exceptions with it
        async with asyncio.TaskGroup() as group:
            group.create_task(asking.inner())
            group.create_task(caller())


@way(aborted=True)
async def ends_when_a_task_fails_beside_the_block_of_its_group(asking: Asking) -> None:
    """A tool awaits a reply, whose tool awaits an AgentTask, in the block of a task group, and a task of that fails."""
    if sys.version_info < (3, 11):
        await in_gather(asking)
        return
    with contextlib.suppress(Exception):  # a group of exceptions with it
        async with asyncio.TaskGroup() as group:
            group.create_task(caller())
            await asking.inner()


@way(aborted=True)
async def ends_when_another_one_fails_in_a_task_group_of_anyio(asking: Asking) -> None:
    """A tool awaits a reply, whose tool awaits an AgentTask, in a task group of anyio in which something fails."""
    with contextlib.suppress(Exception):  # a group of exceptions with it
        async with anyio.create_task_group() as group:
            group.start_soon(asking.inner)  # type: ignore[arg-type]
            group.start_soon(caller)


@beside
async def ends_when_an_attribute_is_cancelled(asking: Any) -> None:
    """A method sleeps, and then cancels the attribute that a tool awaits, a reply whose tool awaits an AgentTask."""
    await asyncio.sleep(LONG)
    asking.job.cancel()


@beside
async def ends_when_all_in_a_list_are_cancelled(asking: Any) -> None:
    """A task sleeps, and then cancels all in a list, one of which awaits a reply whose tool awaits an AgentTask."""
    jobs = [asking.job]
    await asyncio.sleep(LONG)
    for job in jobs:
        job.cancel()


@beside
async def ends_when_it_is_cancelled_and_waited_for(asking: Any) -> None:
    """A task sleeps, and then uses livekit-agents' cancel_and_wait() on what a tool awaits."""
    await asyncio.sleep(LONG)
    await aio.cancel_and_wait(asking.job)


@beside
async def ends_when_what_is_pending_is_cancelled(asking: Any) -> None:
    """A task gives the one that a tool awaits some time by asyncio.wait(), and cancels it if it is not done by then."""
    _, pending = await asyncio.wait({asking.job}, timeout=LONG)
    for job in pending:
        job.cancel()


@beside
async def ends_when_a_method_cancels_it(asking: Any) -> None:
    """A task sleeps, and then calls a function that cancels the one that a tool awaits."""

    def give_up() -> None:
        asking.job.cancel()

    await asyncio.sleep(LONG)
    give_up()


@beside
async def ends_when_a_timer_calls_what_cancels_it(asking: Any) -> None:
    """A timer calls a function that cancels the task that a tool awaits."""

    def give_up(asking: Any) -> None:
        asking.job.cancel()

    asyncio.get_running_loop().call_later(LONG, functools.partial(give_up, asking))


@beside
async def ends_when_the_users_next_word_cancels_it(asking: Any) -> None:
    """A task waits for the user's next word, and then cancels the one that a tool awaits."""
    word = asyncio.Event()
    speaking = later(word.set)
    await word.wait()
    asking.job.cancel()
    await speaking


@way
async def ends_when_somebody_else_puts_into_its_queue(asking: Asking) -> None:
    """A tool gets from a queue that the end of a reply puts into, whose tool awaits an AgentTask, and others sooner."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    inner = asyncio.ensure_future(asking.inner())
    inner.add_done_callback(queue.put_nowait)

    async def producer() -> None:
        await asyncio.sleep(LONG)
        await queue.put("from elsewhere")

    producing = asyncio.ensure_future(producer())
    await queue.get()
    await producing
