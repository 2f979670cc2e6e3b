"""The edges of asyncio and anyio: what a task or a future needs to complete, as far as these two libraries tell.

Read are tasks, the frames of library functions, and the callbacks by which a library completes one future when another
one is done. Of the user's objects not even the type is asked, but for ``type(x) is``.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import Iterable, Mapping
from types import FunctionType, MethodType
from typing import Any, Callable, Optional

from .graph import FREE, Wait
from .locks import holders
from .stack import Suspended, Task, is_builtin, stack

Future = asyncio.Future[Any]
Callback = tuple[Future, Any]  # what is called when a future is done
# Of what a callback holds: the futures that it completes, and what these need; None for the one whose callback it is.
Completion = Callable[[dict[str, Any]], tuple[Iterable[Any], Optional[Wait]]]

_GATHERING = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]
# By identity, since even == of a class or a function may be the user's. nest_asyncio puts the futures written in Python
# in the place of the others, of which the one of gather() was made before.
_FUTURES = (_GATHERING.__base__, asyncio.futures._PyFuture, _GATHERING)  # type: ignore[attr-defined]
_FUTURE_IDS = frozenset(map(id, _FUTURES))
_WAKES_A_TASK_UP = ("method", "builtin_function_or_method", "TaskWakeupMethWrapper")  # the last one on Python 3.9


def _next_one(done: Any, todo: Iterable[Any]) -> tuple[Iterable[Any], Wait]:
    return done._getters, Wait(tuple(todo), any_is_enough=True)


def _end_of_group(group: Any) -> tuple[Iterable[Any], Wait]:
    return [group._on_completed_fut], Wait(tuple(group._tasks))


# By function; what it holds is what it has closed over, is bound to ("self") or is given ("0").
COMPLETIONS: dict[str, Completion] = {
    "asyncio.tasks.shield.<locals>._inner_done_callback": lambda held: ([held["outer"]], None),
    "asyncio.tasks.gather.<locals>._done_callback": lambda held: ([held["outer"]], None),
    "asyncio.tasks._gather.<locals>._done_callback": lambda held: ([held["outer"]], None),  # on Python 3.9
    "asyncio.tasks._release_waiter": lambda held: ([held["0"]], None),  # of wait_for() before Python 3.12
    "asyncio.tasks.as_completed.<locals>._on_completion": lambda held: _next_one(held["done"], held["todo"]),
    # from Python 3.13 on
    "asyncio.tasks._AsCompletedIterator._handle_completion": lambda held: _next_one(
        held["self"]._done, held["self"]._todo
    ),
    "asyncio.taskgroups.TaskGroup._on_task_done": lambda held: _end_of_group(held["self"]),
    "anyio._backends._asyncio.TaskGroup._spawn.<locals>.task_done": lambda held: _end_of_group(held["self"]),
}


class Edges:
    """The waits among all tasks of an event loop at this moment; to be made and used in a callback of that loop."""

    def __init__(self, tasks: set[Task]) -> None:
        self.tasks: set[Any] = tasks
        self._task_ids = set(map(id, tasks))
        self.stack: Callable[[Task], list[Suspended]] = functools.lru_cache(maxsize=None)(stack)
        self._completed_by: dict[Future, Wait] = {}

    def wait(self, future: Future) -> Wait:
        """Return what a future needs to complete. What can't be read, or is of a kind that is not known, is free."""
        with contextlib.suppress(Exception):
            if not future.done():
                wait = self._wait_of_task(future) if id(future) in self._task_ids else self._wait_of_future(future)
                awaited = tuple(one for one in wait.awaited if self._is_known(one) and not one.done())
                is_enough = wait.any_is_enough and len(awaited) < len(wait.awaited)
                return FREE if is_enough else wait._replace(awaited=awaited)
        return FREE

    def read(self, callbacks: Iterable[Callback], completions: Mapping[str, Completion]) -> None:
        """Find out what these callbacks complete, and what the callbacks of that complete, and so on."""
        to_do = list(callbacks)
        for future, callback in to_do:
            with contextlib.suppress(Exception):  # what can't be read completes nothing, as far as is known
                function, held = _function_and_held(callback)
                rule = completions.get(function)
                completed, needed = rule(held) if rule else ((), None)
                for one in filter(self._is_known, completed):
                    before = self._completed_by.get(one)
                    if before is None:
                        to_do += callbacks_of(one)
                    self._completed_by[one] = needed or Wait((*(before or FREE).awaited, future), any_is_enough=True)

    def wait_in(self, suspended: list[Suspended], awaited: Future) -> Wait:
        """Return what a task needs that is suspended in these, the innermost of which awaits ``awaited``."""
        innermost = suspended[-1]
        if innermost.function == "asyncio.tasks._wait":  # of asyncio.wait()
            asked = innermost.variables
            any_is_enough = asked["return_when"] == asyncio.FIRST_COMPLETED
            return Wait(tuple(asked["fs"]), any_is_enough) if asked["timeout"] is None else FREE
        if innermost.function == "asyncio.locks.acquire":
            lock: Any = innermost.variables["self"]  # or a semaphore, or of a class of the user's
            held_by = self._holders.get(id(lock)) if type(lock) is asyncio.Lock and lock.locked() else None
            # more than one where a block has let its lock go for a while, and whose that is can't be seen
            return Wait(tuple(held_by), any_is_enough=True, lock=lock) if held_by else FREE
        return Wait((awaited,))

    def _wait_of_task(self, task: Any) -> Wait:
        if not self._is_known(task._fut_waiter) or task._fut_waiter.done():
            return FREE  # it is about to go on, or awaits an object of the user's
        return self.wait_in(self.stack(task), task._fut_waiter)

    def _wait_of_future(self, future: Any) -> Wait:
        if type(future) is _GATHERING:
            return Wait(tuple(future._children))
        return self._completed_by.get(future, FREE)

    def _is_known(self, future: Any) -> bool:
        return id(type(future)) in _FUTURE_IDS or id(future) in self._task_ids

    @functools.cached_property
    def _holders(self) -> dict[int, list[Task]]:
        return holders(self.tasks, self.stack)


def callbacks_of(future: Any) -> list[Callback]:
    """Return what is called when a future is done, each with the future; nothing where that can't be read."""
    try:
        return [(future, callback) for callback, _ in future._callbacks or ()]
    except Exception:
        return []


def context_of(task: Any) -> contextvars.Context:
    """Return a task's context, or an empty one where it can't be found out."""
    with contextlib.suppress(Exception):  # it is there from Python 3.12 on; the task's own may be the user's
        return asyncio.Task.get_context(task)  # type: ignore[attr-defined,no-any-return]
    callbacks = getattr(task._fut_waiter, "_callbacks", None) or ()
    wake_ups = (each for each in callbacks if is_builtin(each[0], _WAKES_A_TASK_UP) and each[0].__self__ is task)
    return next((context for _, context in wake_ups), contextvars.Context())


def _function_and_held(callback: Any) -> tuple[str, dict[str, Any]]:
    """Return the full name of a callback's function, and what it holds, by name or position."""
    held: dict[str, Any] = {}
    if type(callback) is functools.partial:
        held = {str(position): value for position, value in enumerate(callback.args)}
        callback = callback.func
    if type(callback) is MethodType:
        held["self"] = callback.__self__
        callback = callback.__func__
    if type(callback) is not FunctionType:
        return "", held
    for name, cell in zip(callback.__code__.co_freevars, callback.__closure__ or ()):
        with contextlib.suppress(ValueError):  # the cell is empty
            held[name] = cell.cell_contents
    module: Any = dict.get(callback.__globals__, "__name__")  # it may be odd, but join() calls nothing of its own
    return ".".join((module, callback.__qualname__)), held
