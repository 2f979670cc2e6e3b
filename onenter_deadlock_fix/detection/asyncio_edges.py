"""The edges of asyncio and anyio: what a task or a future needs in order to complete.

This reads tasks, the frames of library functions, and the callbacks with which a library completes one future when
another future is done. It inspects the user's objects only by ``type(x) is``, which runs no user code.

``RULES`` maps a function that a task is suspended in to its edges, ``COMPLETIONS`` maps the function of a callback.
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

# Arguments: the edges, the frame of the rule's function, all frames of the task (outermost first), and the future that
# the innermost frame awaits. Returns what the task needs, or None if the rule does not apply.
Rule = Callable[[Any, Suspended, list[Suspended], Future], Optional[Wait]]
# Arguments: the edges, and the values bound in a callback. Returns the futures that the callback completes, and what
# these need; None if they need the future that the callback was added to.
Completion = Callable[[Any, dict[str, Any]], tuple[Iterable[Any], Optional[Wait]]]

_GATHERING = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]
# By identity, because even == of a class or a function may be user-defined. nest_asyncio replaces the C
# futures by the Python ones, but _GatheringFuture keeps its base class.
_FUTURES = (_GATHERING.__base__, asyncio.futures._PyFuture, _GATHERING)  # type: ignore[attr-defined]
_FUTURE_IDS = frozenset(map(id, _FUTURES))
_WAKEUP_TYPES = ("method", "builtin_function_or_method", "TaskWakeupMethWrapper")  # the last one on Python 3.9
# Functions that wait on behalf of their callers.
_WAIT_HELPERS = ("asyncio.", "contextlib.", "livekit.agents.utils.")
_RELEASE_WAITER = "asyncio.tasks._release_waiter"  # of wait_for() before Python 3.12


class Alternative:
    """A node that completes as soon as any of its nodes does; only the first one is reported."""

    def __init__(self, nodes: tuple[Any, ...]) -> None:
        self.nodes = nodes

    def done(self) -> bool:
        return False


def _until_waited(edges: Any, frame: Suspended, *_: Any) -> Wait:
    """Return what ``asyncio.wait()`` needs; a time-out completes it."""
    variables = frame.variables
    any_is_enough = variables["return_when"] == asyncio.FIRST_COMPLETED
    return Wait(tuple(variables["fs"]), any_is_enough) if variables["timeout"] is None else FREE


def _until_acquired(edges: Any, frame: Suspended, *_: Any) -> Wait:
    """Return what ``acquire()`` needs; the holders of a semaphore or of a user-defined lock can't be seen."""
    lock = frame.variables["self"]
    held_by = edges.holders.get(id(lock)) if type(lock) is asyncio.Lock and lock.locked() else None
    # Several holders if one block has released the lock for a while; it can't be seen which one.
    return Wait(tuple(held_by), any_is_enough=True, lock=lock) if held_by else FREE


# By the function that a task is suspended in: the innermost that is no wait helper, or else the innermost.
RULES: dict[str, Rule] = {
    "asyncio.tasks._wait": _until_waited,
    "asyncio.locks.acquire": _until_acquired,
    "asyncio.locks.wait": lambda *_: FREE,  # anybody may set an event or notify a condition
}


def _next_done(done: Any, todo: Iterable[Any]) -> tuple[Iterable[Any], Wait]:
    return done._getters, Wait(tuple(todo), any_is_enough=True)


def _task_group(group: Any) -> tuple[Iterable[Any], Wait]:
    return [group._on_completed_fut], Wait(tuple(group._tasks))


# By function. Its bound values are its closure by name, its instance as "self", and partial() arguments as "0", ...
COMPLETIONS: dict[str, Completion] = {
    "asyncio.tasks.shield.<locals>._inner_done_callback": lambda edges, bound: ([bound["outer"]], None),
    "asyncio.tasks.gather.<locals>._done_callback": lambda edges, bound: ([bound["outer"]], None),
    "asyncio.tasks._gather.<locals>._done_callback": lambda edges, bound: ([bound["outer"]], None),  # Python 3.9
    _RELEASE_WAITER: lambda edges, bound: ([bound["0"]], None),
    "asyncio.tasks.as_completed.<locals>._on_completion": lambda edges, bound: _next_done(bound["done"], bound["todo"]),
    # from Python 3.13 on
    "asyncio.tasks._AsCompletedIterator._handle_completion": lambda edges, bound: _next_done(
        bound["self"]._done, bound["self"]._todo
    ),
    "asyncio.taskgroups.TaskGroup._on_task_done": lambda edges, bound: _task_group(bound["self"]),
    "anyio._backends._asyncio.TaskGroup._spawn.<locals>.task_done": lambda edges, bound: _task_group(bound["self"]),
}


class Edges:
    """The waits among all tasks of an event loop at this moment. Create and use it in one callback of that loop."""

    rules: Mapping[str, Rule] = RULES
    completions: Mapping[str, Completion] = COMPLETIONS
    generators: tuple[str, ...] = ()  # context managers that act as a lock of their ``self``, see ``locks``

    def __init__(self, tasks: set[Task]) -> None:
        self.tasks: set[Any] = tasks
        self._task_ids = set(map(id, tasks))
        self.stack: Callable[[Task], list[Suspended]] = functools.lru_cache(maxsize=None)(stack)
        self._completed_by: dict[Future, Wait] = {}

    def wait(self, node: Any) -> Wait:
        """Return what a node needs to complete. A node that can't be read, or of an unknown kind, is free."""
        with contextlib.suppress(Exception):
            if type(node) is Alternative:
                return self._without_done(Wait(node.nodes, any_is_enough=True))
            if not node.done():
                is_task = id(node) in self._task_ids
                return self._without_done(self._wait_of_task(node) if is_task else self._wait_of_future(node))
        return FREE

    def read(self, callbacks: Iterable[Callback]) -> None:
        """Record which futures these callbacks complete, directly or by the callbacks of those futures."""
        to_do = list(callbacks)
        for future, callback in to_do:
            with contextlib.suppress(Exception):  # a callback that can't be read counts as completing nothing
                function, bound = _function_and_bound(callback)
                rule = self.completions.get(function)
                completed, needed = rule(self, bound) if rule else ((), None)
                for target in filter(self._is_known, completed):
                    before = self._completed_by.get(target)
                    if before is None:
                        to_do += callbacks_of(target)
                    self._completed_by[target] = needed or Wait((*(before or FREE).awaited, future), any_is_enough=True)

    def is_made_by_wait_for(self, task: Any) -> bool:
        """Return whether ``wait_for()`` created this task, which it does before Python 3.12."""
        return any(_function_and_bound(callback)[0] == _RELEASE_WAITER for _, callback in callbacks_of(task))

    def innermost(self, task: Task) -> str:
        """Return the innermost function of a task that is no wait helper, or an empty string."""
        functions = (frame.function for frame in reversed(self.stack(task)))
        return next((function for function in functions if not function.startswith(_WAIT_HELPERS)), "")

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
            return FREE  # it is about to run, or awaits a user-defined object
        frames = self.stack(task)
        outside = (frame for frame in reversed(frames) if not frame.function.startswith(_WAIT_HELPERS))
        # A task that can't be read has no frames, so this raises, and wait() makes the task free.
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
    """Return the done callbacks of a future, each paired with the future; [] if they can't be read."""
    try:
        return [(future, callback) for callback, _ in future._callbacks or ()]
    except Exception:
        return []


def context_of(task: Any) -> contextvars.Context:
    """Return a task's context, or an empty context if it can't be read."""
    with contextlib.suppress(Exception):  # from Python 3.12 on; not task.get_context(), which user code may override
        return asyncio.Task.get_context(task)  # type: ignore[attr-defined,no-any-return]
    callbacks = getattr(task._fut_waiter, "_callbacks", None) or ()
    wake_ups = (pair for pair in callbacks if is_builtin(pair[0], _WAKEUP_TYPES) and pair[0].__self__ is task)
    return next((context for _, context in wake_ups), contextvars.Context())


def _function_and_bound(callback: Any) -> tuple[str, dict[str, Any]]:
    """Return the full name of a callback's function, and its bound values by name or position."""
    bound: dict[str, Any] = {}
    if type(callback) is functools.partial:
        bound = {str(position): value for position, value in enumerate(callback.args)}
        callback = callback.func
    if type(callback) is MethodType:
        bound["self"] = callback.__self__
        callback = callback.__func__
    if type(callback) is not FunctionType:
        return "", bound
    for name, cell in zip(callback.__code__.co_freevars, callback.__closure__ or ()):
        with contextlib.suppress(ValueError):  # the cell is empty
            bound[name] = cell.cell_contents
    module: Any = dict.get(callback.__globals__, "__name__")  # of any type, but join() runs no user code
    return ".".join((module, callback.__qualname__)), bound
