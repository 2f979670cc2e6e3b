"""Find the holders of locks: the tasks whose coroutines are suspended in an ``async with`` of the lock."""

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


def holders(
    tasks: Iterable[Task], stack: Callable[[Task], list[Suspended]], generators: Collection[str]
) -> dict[int, list[Task]]:
    """Map the id of each lock to the tasks in its ``async with``; a task that has entered it twice is listed twice.

    stack: returns what a task is suspended in, outermost first.
    generators: functions decorated with ``asynccontextmanager`` that act as a lock of their ``self`` while suspended at
        their yield; the id of ``self`` is the id of that lock.
    """
    tasks_by_lock: dict[int, list[Task]] = {}
    for task in tasks:
        frames = stack(task)
        entered = [lock for frame in frames for lock in _entered(frame, generators)]
        is_waiting = entered and frames[-1].function in ("asyncio.locks.acquire", "asyncio.locks.wait")
        by_exit_stack = [frame.function for frame in frames[-3:-2]] == ["contextlib.enter_async_context"]
        if is_waiting and not by_exit_stack:
            # __aexit__ is on the stack before the lock is acquired, and while a condition has released it.
            with contextlib.suppress(ValueError):
                entered.remove(id(_lock_of(frames[-1].variables["self"])))
        for lock in entered:
            tasks_by_lock.setdefault(lock, []).append(task)
    return tasks_by_lock


def _entered(frame: Suspended, generators: Collection[str]) -> Iterator[int]:
    """Yield the locks, by identity, whose ``async with`` a coroutine or generator is in.

    The value stack has the bound ``__aexit__`` of the block; from Python 3.14 on, the function and then its ``self``.
    Before Python 3.11 the frame refers to the value stack, and not the coroutine. Both also refer to the variables.
    """
    entries = gc.get_referents(frame.awaitable, frame.frame)
    for entry, following in zip(entries, [*entries[1:], None]):
        is_bound = type(entry) is MethodType
        if id(entry.__func__ if is_bound else entry) in _EXIT_IDS:
            yield from _locks_of(entry.__self__ if is_bound else following, generators)


def _locks_of(manager: Any, generators: Collection[str]) -> Iterator[int]:
    """Yield the locks that a context manager of the standard library holds for its block."""
    lock, kind = _lock_of(manager), type(manager)
    if type(lock) is asyncio.Lock:
        yield id(lock)
    elif kind is contextlib.AsyncExitStack:
        for _, callback in manager._exit_callbacks:
            yield from _locks_of(callback.__self__, generators) if type(callback) is MethodType else ()
    # If it runs (it enters or leaves the block), it is on the task's stack, and examined there.
    elif kind is contextlib._AsyncGeneratorContextManager and not manager.gen.ag_running:
        frame = Suspended(manager.gen, manager.gen.ag_frame, None)
        if frame.function in generators:
            yield id(frame.variables["self"])
        yield from _entered(frame, generators)


def _lock_of(thing: Any) -> Any:
    kind: Any = type(thing)
    return thing._lock if kind is asyncio.Condition else thing
