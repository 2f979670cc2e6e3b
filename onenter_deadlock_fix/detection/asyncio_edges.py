"""The edges of asyncio and anyio: what a task or a future needs to complete, as far as these two libraries show it.

They read tasks, the frames of library functions, and the callbacks by which a library completes one future when
another one is done. Of the user's objects they don't even ask the type, except by ``type(x) is``.

``RULES`` has a row for each function that a task may be suspended in, ``COMPLETIONS`` for each function of a callback.
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
Callback = tuple[Future, Any]  # a future, and what is called when it is done


# Of the edges, the frame of the rule's function, all frames of the task, outermost first, and the future that the
# innermost one awaits: what the task needs, or None where the rule is not for this.
Rule = Callable[[Any, Suspended, list[Suspended], Future], Optional[Wait]]
# Of the edges and what a callback holds: the futures that the callback completes, and what these need; None where they
# need the future whose callback it is.
Completion = Callable[[Any, dict[str, Any]], tuple[Iterable[Any], Optional[Wait]]]

_GATHERING = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]
# By identity, because even == of a class or a function may be the user's. nest_asyncio replaces the futures by those
# written in Python; gather() was made with the others before that.
_FUTURES = (_GATHERING.__base__, asyncio.futures._PyFuture, _GATHERING)  # type: ignore[attr-defined]
_FUTURE_IDS = frozenset(map(id, _FUTURES))
_WAKES_A_TASK_UP = ("method", "builtin_function_or_method", "TaskWakeupMethWrapper")  # the last one on Python 3.9
# Functions that wait on behalf of their callers.
_PLUMBING = ("asyncio.", "contextlib.", "livekit.agents.utils.")
_RELEASE_WAITER = "asyncio.tasks._release_waiter"  # of wait_for() before Python 3.12


class Alternative:
    """A node that completes as soon as any of its nodes does; the first one is the one to report."""

    def __init__(self, nodes: tuple[Any, ...]) -> None:
        self.nodes = nodes

    def done(self) -> bool:
        return False


def _wait(edges: Any, frame: Suspended, *_: Any) -> Wait:
    """Of ``asyncio.wait()``; a time-out completes it."""
    asked = frame.variables
    any_is_enough = asked["return_when"] == asyncio.FIRST_COMPLETED
    return Wait(tuple(asked["fs"]), any_is_enough) if asked["timeout"] is None else FREE


def _acquire(edges: Any, frame: Suspended, *_: Any) -> Wait:
    """Of a lock; who holds a semaphore or a lock of the user's own class can't be seen."""
    lock = frame.variables["self"]
    held_by = edges.holders.get(id(lock)) if type(lock) is asyncio.Lock and lock.locked() else None
    # More than one where a block has released its lock for a while, and which block that is can't be seen.
    return Wait(tuple(held_by), any_is_enough=True, lock=lock) if held_by else FREE


# By the function that a task is suspended in: the first one outside of the plumbing, or else the innermost.
RULES: dict[str, Rule] = {
    "asyncio.tasks._wait": _wait,
    "asyncio.locks.acquire": _acquire,
    "asyncio.locks.wait": lambda *_: FREE,  # anybody may set an event or notify a condition
}


def _next_of(done: Any, todo: Iterable[Any]) -> tuple[Iterable[Any], Wait]:
    return done._getters, Wait(tuple(todo), any_is_enough=True)


def _end_of_group(group: Any) -> tuple[Iterable[Any], Wait]:
    return [group._on_completed_fut], Wait(tuple(group._tasks))


# By function. What it holds is what it has closed over, is bound to ("self") or is given ("0").
COMPLETIONS: dict[str, Completion] = {
    "asyncio.tasks.shield.<locals>._inner_done_callback": lambda edges, held: ([held["outer"]], None),
    "asyncio.tasks.gather.<locals>._done_callback": lambda edges, held: ([held["outer"]], None),
    "asyncio.tasks._gather.<locals>._done_callback": lambda edges, held: ([held["outer"]], None),  # Python 3.9
    _RELEASE_WAITER: lambda edges, held: ([held["0"]], None),
    "asyncio.tasks.as_completed.<locals>._on_completion": lambda edges, held: _next_of(held["done"], held["todo"]),
    # from Python 3.13 on
    "asyncio.tasks._AsCompletedIterator._handle_completion": lambda edges, held: _next_of(
        held["self"]._done, held["self"]._todo
    ),
    "asyncio.taskgroups.TaskGroup._on_task_done": lambda edges, held: _end_of_group(held["self"]),
    "anyio._backends._asyncio.TaskGroup._spawn.<locals>.task_done": lambda edges, held: _end_of_group(held["self"]),
}


class Edges:
    """The waits among all tasks of an event loop at this moment. Make and use it in one callback of that loop."""

    rules: Mapping[str, Rule] = RULES
    completions: Mapping[str, Completion] = COMPLETIONS
    generators: tuple[str, ...] = ()  # context managers that hold something of their ``self`` at their yield

    def __init__(self, tasks: set[Task]) -> None:
        self.tasks: set[Any] = tasks
        self._task_ids = set(map(id, tasks))
        self.stack: Callable[[Task], list[Suspended]] = functools.lru_cache(maxsize=None)(stack)
        self._completed_by: dict[Future, Wait] = {}

    def wait(self, node: Any) -> Wait:
        """Return what a node needs to complete. What can't be read, or is of a kind that is not known, is free."""
        with contextlib.suppress(Exception):
            if type(node) is Alternative:
                return self._without_done(Wait(node.nodes, any_is_enough=True))
            if not node.done():
                is_task = id(node) in self._task_ids
                return self._without_done(self._wait_of_task(node) if is_task else self._wait_of_future(node))
        return FREE

    def read(self, callbacks: Iterable[Callback]) -> None:
        """Find what these callbacks complete, and what the callbacks of that complete, and so on."""
        to_do = list(callbacks)
        for future, callback in to_do:
            with contextlib.suppress(Exception):  # what can't be read completes nothing, as far as is known
                function, held = _function_and_held(callback)
                rule = self.completions.get(function)
                completed, needed = rule(self, held) if rule else ((), None)
                for target in filter(self._is_known, completed):
                    before = self._completed_by.get(target)
                    if before is None:
                        to_do += callbacks_of(target)
                    self._completed_by[target] = needed or Wait((*(before or FREE).awaited, future), any_is_enough=True)

    def is_made_by_wait_for(self, task: Any) -> bool:
        """Return whether ``wait_for()`` has made a task of what it was given, as before Python 3.12."""
        return any(_function_and_held(callback)[0] == _RELEASE_WAITER for _, callback in callbacks_of(task))

    def innermost(self, task: Task) -> str:
        """Return the function that a task is suspended in, outside of the plumbing, or nothing."""
        functions = (frame.function for frame in reversed(self.stack(task)))
        return next((function for function in functions if not function.startswith(_PLUMBING)), "")

    @functools.cached_property
    def holders(self) -> dict[int, list[Task]]:
        return holders(self.tasks, self.stack, self.generators)

    def _without_done(self, wait: Wait) -> Wait:
        awaited = tuple(node for node in wait.awaited if self._is_known(node) and not node.done())
        is_complete = wait.any_is_enough and len(awaited) < len(wait.awaited)
        return FREE if is_complete else wait._replace(awaited=awaited)

    def _wait_of_task(self, task: Any) -> Wait:
        future = task._fut_waiter
        if not self._is_known(future) or future.done():
            return FREE  # it is about to go on, or awaits an object of the user's
        frames = self.stack(task)
        outside = (frame for frame in reversed(frames) if not frame.function.startswith(_PLUMBING))
        # A task of which nothing can be read has no frames, which raises, and so it is free.
        for frame in (next(outside, frames[-1]), frames[-1]):
            rule = self.rules.get(frame.function)
            wait = rule(self, frame, frames, future) if rule else None
            if wait is not None:
                return wait
        return Wait((future,))

    def _wait_of_future(self, future: Any) -> Wait:
        if type(future) is _GATHERING:
            return Wait(tuple(future._children))
        return self._completed_by.get(future, FREE)

    def _is_known(self, node: Any) -> bool:
        return id(type(node)) in _FUTURE_IDS or id(node) in self._task_ids or type(node) is Alternative


def callbacks_of(future: Any) -> list[Callback]:
    """Return what is called when a future is done, each with the future; nothing where that can't be read."""
    try:
        return [(future, callback) for callback, _ in future._callbacks or ()]
    except Exception:
        return []


def context_of(task: Any) -> contextvars.Context:
    """Return a task's context, or an empty one where it can't be read."""
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
