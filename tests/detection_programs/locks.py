"""Tools that wait for locks, one of which awaits an AgentTask or delays one that does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, Callable

from cast import Desk, Lobby, Name, some_time, start
from livekit.agents import function_tool

from onenter_deadlock_fix import detection

Block = AbstractAsyncContextManager[Any]
Way = Callable[[], Awaitable[Any]]


class Locking(Desk):
    def __init__(self, collect: Way, ask: Way) -> None:
        super().__init__(lambda _: ask())
        self._collect = collect

    @function_tool
    async def collect(self) -> None:
        await self._collect()


async def both(collect: Way, ask: Way) -> None:
    """Have the tool of one reply wait first, and then that of another one."""
    session = await start(Locking(collect, ask))
    replies = [session.generate_reply(user_input="collect")]
    await asyncio.sleep(0.05)
    replies.append(session.generate_reply(user_input="ask"))
    await asyncio.gather(*(reply.wait_for_playout() for reply in replies))


async def hand_over() -> None:
    """Await an AgentTask when ``ask`` waits already."""
    await some_time()
    await Name()


async def sleep_in(block: Block, seconds: float = 0) -> None:
    async with block:
        await asyncio.sleep(seconds)


async def take_twice(lock: asyncio.Lock) -> None:
    async with lock:
        await sleep_in(lock)


async def be_notified_in(condition: asyncio.Condition) -> None:
    async with condition:
        await condition.wait()


async def in_the_same(block: Block, other: Block) -> None:
    """``collect`` awaits an AgentTask in a block, and ``ask`` waits for a block of the same lock."""

    async def collect() -> None:
        async with block:
            await hand_over()

    await both(collect, lambda: sleep_in(other))


async def a_condition_that_another_task_waits_in() -> None:
    """Somebody waits in the block, too, to be notified, and has released the lock for that."""
    condition = asyncio.Condition()
    listening = asyncio.ensure_future(be_notified_in(condition))
    await asyncio.sleep(0)
    await in_the_same(condition, condition)
    listening.cancel()


async def a_condition_and_its_lock() -> None:
    lock = asyncio.Lock()
    await in_the_same(asyncio.Condition(lock), lock)


async def acquired_by_hand() -> None:
    """The lock is taken without a block, so its holder is not known."""
    lock = asyncio.Lock()

    async def collect() -> None:
        await lock.acquire()
        await hand_over()

    await both(collect, lambda: sleep_in(lock))


async def the_same_lock_twice() -> None:
    """``ask`` takes its own lock again, and the handoff waits for it."""
    lock = asyncio.Lock()
    await both(hand_over, lambda: take_twice(lock))


async def the_same_lock_again_by_an_exit_stack() -> None:
    """``ask`` has an AsyncExitStack take the lock that it has, and the handoff waits for it."""
    lock = asyncio.Lock()

    async def ask() -> None:
        async with lock, contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(lock)

    await both(hand_over, ask)


async def in_line_one_after_another() -> None:
    """update_agent() waits for tools, of which one after another comes to wait for a task that waits for itself."""
    lock = asyncio.Lock()
    waiting: list[None] = []

    async def ask() -> None:
        await asyncio.sleep(0.4 * len(waiting))
        waiting.append(None)
        await sleep_in(lock)

    waiting_for_itself = asyncio.ensure_future(take_twice(lock))
    session = await start(Locking(ask, ask))
    for _ in range(3):
        session.generate_reply(user_input="ask")
        await asyncio.sleep(0.01)
    session.update_agent(Lobby())
    await waiting_for_itself


async def notified_meanwhile() -> None:
    """``ask`` was notified, and waits for the lock of the condition again, in whose block ``collect`` is."""
    condition = asyncio.Condition()

    async def collect() -> None:
        await some_time()
        async with condition:
            condition.notify_all()
            await Name()

    await both(collect, lambda: be_notified_in(condition))


async def in_line_in_a_context_manager() -> None:
    """``ask`` waits in a context manager, which takes the lock for it; a timer releases the lock."""
    lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def held() -> AsyncIterator[None]:
        async with lock:
            yield

    await lock.acquire()
    asyncio.get_running_loop().call_later(1.5, lock.release)
    await both(hand_over, lambda: sleep_in(held()))


async def a_block_that_releases_its_lock_for_a_while() -> None:
    """``ask`` releases its lock and waits for a helper in line for it, while somebody sleeps in the block."""
    lock = asyncio.Lock()

    async def ask() -> None:
        async with lock:
            lock.release()
            await asyncio.gather(sleep_in(lock, 1.5), sleep_in(lock))
            await lock.acquire()

    await both(hand_over, ask)


async def held_by_a_task_that_was_checked() -> tuple[list[str], bool]:
    """A task takes a lock twice, is checked and cancelled; return the cycle, and whether what it held is gone."""

    async def wait(held: object) -> object:
        async with lock, lock:
            return held

    lock, held = asyncio.Lock(), asyncio.Event()  # which can be referred to weakly
    reference = weakref.ref(held)
    task = asyncio.create_task(wait(held), name="a task")
    del held
    await asyncio.sleep(0)
    gc.disable()
    cycle = detection.cycle()
    task.cancel()
    await asyncio.wait([task])
    del task
    await asyncio.sleep(0)
    return cycle, reference() is None
