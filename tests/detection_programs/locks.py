"""Tools that wait for locks, one of which awaits an AgentTask or keeps it waiting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, Callable

from cast import Name, some_time, start
from livekit.agents import Agent, function_tool

from onenter_deadlock_fix import detection

Block = Callable[[], AbstractAsyncContextManager[Any]]


class Locking(Agent):
    """Its tools wait in the ways that they are given; ``collect`` awaits an AgentTask."""

    def __init__(self, collect: Callable[[], Awaitable[Any]], ask: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(instructions="")
        self._collect, self._ask = collect, ask

    @function_tool
    async def collect(self) -> None:
        await self._collect()

    @function_tool
    async def ask(self) -> None:
        await self._ask()


async def both(collect: Callable[[], Awaitable[Any]], ask: Callable[[], Awaitable[Any]]) -> None:
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


async def in_the_same(block: Block, other: Block | None = None) -> None:
    """``collect`` awaits an AgentTask in a block that ``ask`` waits for."""

    async def collect() -> None:
        async with block():
            await some_time()
            await Name()  # collect is in the block here

    async def ask() -> None:
        async with (other or block)():  # ask waits for the block here
            pass

    await both(collect, ask)


async def a_condition_that_another_one_waits_in() -> None:
    """Somebody waits in the block, too, to be notified, and has let the lock go for that."""
    condition = asyncio.Condition()

    async def listen() -> None:
        async with condition:
            await condition.wait()

    listening = asyncio.ensure_future(listen())
    await asyncio.sleep(0)
    await in_the_same(lambda: condition)
    listening.cancel()


async def a_condition_and_its_lock() -> None:
    lock = asyncio.Lock()
    condition = asyncio.Condition(lock)
    await in_the_same(lambda: condition, lambda: lock)


async def the_same_lock_twice() -> None:
    """``ask`` takes its own lock again, in a function that it calls, and the handoff waits for it."""
    lock = asyncio.Lock()

    async def ask() -> None:
        async with lock:
            await again()  # ask calls in its own block here

    async def again() -> None:
        async with lock:  # ask waits for itself in its own block here
            pass

    await both(hand_over, ask)


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

    async def wait_for_itself() -> None:
        async with lock, lock:
            pass

    async def ask() -> None:
        await asyncio.sleep(0.4 * len(waiting))
        waiting.append(None)
        async with lock:
            pass

    holding = asyncio.ensure_future(wait_for_itself())
    session = await start(Locking(ask, ask))
    for _ in range(3):
        asked = session.generate_reply(user_input="ask")
        await asyncio.sleep(0.01)
    session.update_agent(Agent(instructions=""))
    await asyncio.gather(asked.wait_for_playout(), holding)


async def two_locks_in_opposite_order() -> None:
    """``ask`` and a helper task of it have a lock each and wait for the other one's."""
    one, two = asyncio.Lock(), asyncio.Lock()

    async def in_both(first: asyncio.Lock, second: asyncio.Lock) -> None:
        async with first:
            await asyncio.sleep(0.01)
            async with second:
                pass

    async def ask() -> None:
        await asyncio.gather(in_both(one, two), in_both(two, one))

    await both(hand_over, ask)


async def waiting_to_be_notified() -> None:
    """``ask`` waits for a condition, whose lock it does not hold meanwhile; somebody notifies it later."""
    condition = asyncio.Condition()

    async def ask() -> None:
        async with condition:
            await condition.wait()

    async def notify() -> None:
        await asyncio.sleep(1.5)
        async with condition:
            condition.notify_all()

    notifying = asyncio.ensure_future(notify())
    await both(hand_over, ask)
    await notifying


async def notified_meanwhile() -> None:
    """``ask`` was notified, and waits for the lock of the condition again, in whose block ``collect`` is."""
    condition = asyncio.Condition()

    async def collect() -> None:
        await some_time()
        async with condition:
            condition.notify_all()
            await Name()

    async def ask() -> None:
        async with condition:
            await condition.wait()

    await both(collect, ask)


async def in_line_behind_a_sleeper(block: Block, other: Block | None = None) -> None:
    """``ask`` waits for a block that somebody sleeps in, or in another one of the same lock."""

    async def ask() -> None:
        async with block():
            pass

    async def hold() -> None:
        async with (other or block)():
            await asyncio.sleep(1.5)

    holding = asyncio.ensure_future(hold())
    await both(hand_over, ask)
    await holding


async def a_holder_that_sleeps() -> None:
    """The block is that of a lock."""
    lock = asyncio.Lock()
    await in_line_behind_a_sleeper(lambda: lock)


async def in_line_for_a_context_manager() -> None:
    """The block is that of a context manager, which has the lock for it; who sleeps has taken the lock by hand."""
    lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def held() -> AsyncIterator[None]:
        async with lock:
            yield

    @contextlib.asynccontextmanager
    async def by_hand() -> AsyncIterator[None]:
        await lock.acquire()
        yield
        lock.release()

    await in_line_behind_a_sleeper(held, by_hand)


async def a_block_that_lets_go_for_a_while() -> None:
    """``ask`` lets its lock go and waits for a helper in line for it, while somebody sleeps in the block."""
    lock = asyncio.Lock()

    async def ask() -> None:
        async with lock:
            lock.release()
            await asyncio.gather(hold(1.5), hold(0))
            await lock.acquire()

    async def hold(seconds: float) -> None:
        async with lock:
            await asyncio.sleep(seconds)

    await both(hand_over, ask)


async def a_semaphore() -> None:
    """Anybody may release a semaphore, so nobody can say who holds it."""
    semaphore = asyncio.Semaphore()
    await in_the_same(lambda: semaphore)


async def acquired_by_hand() -> None:
    """The lock is taken without a block, so nobody can say who holds it."""
    lock = asyncio.Lock()

    async def collect() -> None:
        await lock.acquire()
        await some_time()
        await Name()

    async def ask() -> None:
        async with lock:
            pass

    await both(collect, ask)


async def held_by_a_task_that_was_looked_at() -> tuple[list[str], bool]:
    """A task takes a lock twice, is looked at and cancelled; say what was told, and whether what it held is gone."""

    class Held:
        """Something that can be referred to weakly."""

    async def wait(held: Held) -> Held:
        async with lock, lock:
            return held

    lock, held = asyncio.Lock(), Held()
    reference = weakref.ref(held)
    task = asyncio.create_task(wait(held), name="a task")
    del held
    await asyncio.sleep(0)
    gc.disable()
    told = detection.cycle()
    task.cancel()
    await asyncio.wait([task])
    del task
    await asyncio.sleep(0)
    return told, reference() is None
