"""Who holds a lock: the tasks that are in the block of an ``async with``, as far as their coroutines tell."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any, Callable

from .stack import Suspended

Task = asyncio.Task[Any]

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
        entered = [id(lock) for one in suspended for lock in _entered(one)]
        lock = _lock_waited_for(suspended[-1]) if entered else None
        by_a_stack = [one.function for one in suspended[-3:-2]] == ["contextlib.enter_async_context"]
        if lock in entered and not by_a_stack:  # the way out of a block is there before the lock is taken
            entered.remove(lock)
        for lock in entered:
            found.setdefault(lock, []).append(task)
    return found


def _entered(suspended: Suspended) -> Iterator[asyncio.Lock]:
    """Yield the locks whose ``async with`` a coroutine or generator is in: the way out of the block is on its stack.

    That is a bound ``__aexit__``; from Python 3.14 on it is the function, and then what it would be bound to. Before
    Python 3.11 the frame has the stack, and not the coroutine. The variables are there, too, and not told apart.
    """
    entries = gc.get_referents(*suspended)
    for entry, following in zip(entries, [*entries[1:], None]):
        if type(entry) is MethodType and id(entry.__func__) in _EXIT_IDS:
            yield from _locks_of(entry.__self__)
        elif id(entry) in _EXIT_IDS:
            yield from _locks_of(following)


def _locks_of(manager: Any) -> Iterator[asyncio.Lock]:
    """Yield the locks that a context manager of the standard library holds for its block."""
    kind: Any = type(manager)
    if kind is asyncio.Lock:
        yield manager
    elif kind is asyncio.Condition:
        yield from _locks_of(manager._lock)
    elif kind is contextlib.AsyncExitStack:
        for _, callback in manager._exit_callbacks:
            yield from _locks_of(callback.__self__) if type(callback) is MethodType else ()
    elif kind is contextlib._AsyncGeneratorContextManager and not manager.gen.ag_running:
        # else the generator, as it enters or leaves the block, is on the task's stack itself
        yield from _entered(Suspended(manager.gen, manager.gen.ag_frame))


def _lock_waited_for(innermost: Suspended) -> int | None:
    """Return the identity of the lock that a task waits for, to enter its block or to be told of in it."""
    if innermost.function == "asyncio.locks.acquire":
        return id(innermost.variables["self"])
    own: Any = innermost.variables["self"] if innermost.function == "asyncio.locks.wait" else None
    kind: Any = type(own)
    return id(own._lock) if kind is asyncio.Condition else None
