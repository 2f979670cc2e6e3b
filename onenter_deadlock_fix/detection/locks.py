"""Find who holds a lock: the tasks that are in its ``async with``, as far as their coroutines show it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Collection, Iterable, Iterator
from types import MethodType
from typing import Any, Callable

from .stack import Suspended, Task

# By identity, because even == of a class or a function may be the user's.
_MANAGERS = (asyncio.Lock, asyncio.Condition, contextlib.AsyncExitStack, contextlib._AsyncGeneratorContextManager)
_EXIT_IDS = frozenset(id(manager.__aexit__) for manager in _MANAGERS)


class Holders:
    """The tasks that hold locks.

    generators: functions decorated with ``asynccontextmanager`` that hold something of their ``self`` at their yield.
    """

    def __init__(
        self, tasks: Iterable[Task], stack: Callable[[Task], list[Suspended]], generators: Collection[str]
    ) -> None:
        self._generators = generators
        self._holders: dict[int, list[Task]] = {}
        for task in tasks:
            for lock in self._held(stack(task)):
                self._holders.setdefault(lock, []).append(task)

    def of(self, lock: object) -> list[Task]:
        """Return the tasks that are in the block of a lock; a task twice, if it has entered the block twice.

        lock: the lock, or the ``self`` of one of the generators.
        """
        return self._holders.get(id(lock), [])

    def _held(self, frames: list[Suspended]) -> list[int]:
        entered = [lock for frame in frames for lock in self._entered(frame)]
        is_waiting = entered and frames[-1].function in ("asyncio.locks.acquire", "asyncio.locks.wait")
        by_exit_stack = [frame.function for frame in frames[-3:-2]] == ["contextlib.enter_async_context"]
        if is_waiting and not by_exit_stack:
            # The exit of a block is on the stack before the lock is taken, and while a condition has released it.
            with contextlib.suppress(ValueError):
                entered.remove(id(_lock_of(frames[-1].variables["self"])))
        return entered

    def _entered(self, frame: Suspended) -> Iterator[int]:
        """Yield the locks, by identity, whose ``async with`` a coroutine or generator is in.

        The exit of the block is on its stack: a bound ``__aexit__``; from Python 3.14 on the function, and then what it
        would be bound to. Before Python 3.11 the frame has the stack, and not the coroutine. The variables are there,
        too.
        """
        entries = gc.get_referents(frame.awaitable, frame.frame)
        for entry, following in zip(entries, [*entries[1:], None]):
            is_bound = type(entry) is MethodType
            if id(entry.__func__ if is_bound else entry) in _EXIT_IDS:
                yield from self._locks_of(entry.__self__ if is_bound else following)

    def _locks_of(self, manager: Any) -> Iterator[int]:
        """Yield the locks that a context manager of the standard library holds for its block."""
        lock, kind = _lock_of(manager), type(manager)
        if type(lock) is asyncio.Lock:
            yield id(lock)
        elif kind is contextlib.AsyncExitStack:
            for _, callback in manager._exit_callbacks:
                yield from self._locks_of(callback.__self__) if type(callback) is MethodType else ()
        # While the generator enters or leaves the block, it is on the task's stack itself.
        elif kind is contextlib._AsyncGeneratorContextManager and not manager.gen.ag_running:
            frame = Suspended(manager.gen, manager.gen.ag_frame, None)
            if frame.function in self._generators:
                yield id(frame.variables["self"])
            yield from self._entered(frame)


def _lock_of(thing: Any) -> Any:
    kind: Any = type(thing)
    return thing._lock if kind is asyncio.Condition else thing
