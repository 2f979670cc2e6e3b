"""Who holds a lock: the tasks that are in its ``async with``, as far as their coroutines tell."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any, Callable

from .stack import Suspended, Task

# By identity, since even == of a class or a function may be the user's.
_MANAGERS = (asyncio.Lock, asyncio.Condition, contextlib.AsyncExitStack, contextlib._AsyncGeneratorContextManager)
_EXIT_IDS = frozenset(id(manager.__aexit__) for manager in _MANAGERS)


def holders(tasks: Iterable[Task], stack: Callable[[Task], list[Suspended]]) -> dict[int, list[Task]]:
    """Return the tasks that are in the block of a lock, by its identity; twice, if one has entered that twice.

    stack: what a task is suspended in, outermost first.
    """
    found: dict[int, list[Task]] = {}
    for task in tasks:
        suspended = stack(task)
        entered = [lock for one in suspended for lock in _entered(one)]
        is_waiting = entered and suspended[-1].function in ("asyncio.locks.acquire", "asyncio.locks.wait")
        by_a_stack = [one.function for one in suspended[-3:-2]] == ["contextlib.enter_async_context"]
        if is_waiting and not by_a_stack:
            with contextlib.suppress(ValueError):  # the way out of a block is there before the lock is taken, and
                entered.remove(id(_lock_of(suspended[-1].variables["self"])))  # while a condition has let it go
        for lock in entered:
            found.setdefault(lock, []).append(task)
    return found


def _entered(suspended: Suspended) -> Iterator[int]:
    """Yield the locks, by identity, whose ``async with`` a coroutine or generator is in.

    The way out of the block is on its stack: a bound ``__aexit__``; from Python 3.14 on the function, and then what it
    would be bound to. Before Python 3.11 the frame has the stack, and not the coroutine. The variables are there, too.
    """
    entries = gc.get_referents(suspended.awaitable, suspended.frame)
    for entry, following in zip(entries, [*entries[1:], None]):
        is_bound = type(entry) is MethodType
        if id(entry.__func__ if is_bound else entry) in _EXIT_IDS:
            yield from _locks_of(entry.__self__ if is_bound else following)


def _locks_of(manager: Any) -> Iterator[int]:
    """Yield the locks that a context manager of the standard library holds for its block."""
    lock, kind = _lock_of(manager), type(manager)
    if type(lock) is asyncio.Lock:
        yield id(lock)
    elif kind is contextlib.AsyncExitStack:
        for _, callback in manager._exit_callbacks:
            yield from _locks_of(callback.__self__) if type(callback) is MethodType else ()
    # while the generator enters or leaves the block, it is on the task's stack itself
    elif kind is contextlib._AsyncGeneratorContextManager and not manager.gen.ag_running:
        yield from _entered(Suspended(manager.gen, manager.gen.ag_frame, None))


def _lock_of(thing: Any) -> Any:
    kind: Any = type(thing)
    return thing._lock if kind is asyncio.Condition else thing
