"""The edges of asyncio and anyio: what a task or a future needs in order to complete.

This reads tasks, the frames of library functions, and the callbacks with which a library completes one future when
another future is done. The holders of a lock are the tasks whose coroutines are suspended in an ``async with`` of it.
It inspects the user's objects only by ``type(x) is``, which runs no user code.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any, Callable, Optional

from .graph import FREE, Wait, any_of
from .livekit_internals import VOICE
from .stack import Suspended, Task, is_builtin, stack

Future = asyncio.Future[Any]
Callback = tuple[Future, Any]  # a future, and what is called when it is done

# Arguments: the edges, the frame of the rule's function, all frames of the task (outermost first), and the future that
# the innermost frame awaits. Returns what the task needs; None if it needs that future.
Rule = Callable[[Any, Suspended, list[Suspended], Future], Optional[Wait]]
# Arguments: the edges, and what is bound in a callback: the instance of a method, the arguments of a partial(), or else
# a namespace of the closure. Returns the futures that the callback completes, and what these need; None if they need
# the future that the callback was added to.
Completion = Callable[[Any, Any], tuple[Iterable[Any], Optional[Wait]]]

_GATHERING = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]
# nest_asyncio replaces the C futures by the Python ones, but _GatheringFuture keeps its base class.
_FUTURES = (_GATHERING.__base__, asyncio.futures._PyFuture, _GATHERING)  # type: ignore[attr-defined]
_MANAGERS = (asyncio.Lock, asyncio.Condition, contextlib.AsyncExitStack, contextlib._AsyncGeneratorContextManager)
# By identity, because even == of a class or a function may be user-defined.
_FUTURE_IDS = frozenset(map(id, _FUTURES))
_EXIT_IDS = frozenset(id(manager.__aexit__) for manager in _MANAGERS)
# A context manager that holds the floor at its yield. The floor counts as a lock with the identity of its session.
_HOLDS_FLOOR = f"{VOICE}agent_session._wait_for_idle_and_hold"
_WAKEUP_TYPES = ("method", "builtin_function_or_method", "TaskWakeupMethWrapper")  # the last one on Python 3.9
# Functions that wait on behalf of their callers, whose rules come first.
_HELPERS = ("asyncio.", "contextlib.", "livekit.agents.utils.")
_TASKS = "asyncio.tasks."
_RELEASE_WAITER = f"{_TASKS}_release_waiter"  # of wait_for() before Python 3.12


class Edges:
    """The waits among all tasks of an event loop at this moment. Create and use it in one callback of that loop."""

    def _wait_in_asyncio_wait(self, frame: Suspended, *_: Any) -> Wait:
        """Return what ``asyncio.wait()`` needs; a time-out completes it."""
        variables = frame.variables
        any_is_enough = variables["return_when"] == asyncio.FIRST_COMPLETED
        return Wait(tuple(variables["fs"]), any_is_enough) if variables["timeout"] is None else FREE

    def _wait_in_acquire(self, frame: Suspended, *_: Any) -> Wait | None:
        """Return what ``acquire()`` needs; the holders of a semaphore or of a user-defined lock can't be seen."""
        lock = frame.variables["self"]
        held_by = self._holders.get(id(lock)) if type(lock) is asyncio.Lock and lock.locked() else None
        # Several holders if one block has released the lock for a while; it can't be seen which one.
        return any_of(held_by)._replace(lock=lock) if held_by else None

    # By the function of ``calling_frame()``, or else by the innermost function that a task is suspended in.
    rules: Mapping[str, Rule] = {f"{_TASKS}_wait": _wait_in_asyncio_wait, "asyncio.locks.acquire": _wait_in_acquire}

    # By the function of a callback.
    completions: Mapping[str, Completion] = {
        f"{_TASKS}shield.<locals>._inner_done_callback": lambda _, names: ([names.outer], None),
        f"{_TASKS}gather.<locals>._done_callback": lambda _, names: ([names.outer], None),
        f"{_TASKS}_gather.<locals>._done_callback": lambda _, names: ([names.outer], None),  # Python 3.9
        _RELEASE_WAITER: lambda _, arguments: (arguments, None),
        f"{_TASKS}as_completed.<locals>._on_completion": lambda _, names: (names.done._getters, any_of(names.todo)),
        # from Python 3.13 on
        f"{_TASKS}_AsCompletedIterator._handle_completion": lambda _, it: (it._done._getters, any_of(it._todo)),
        "asyncio.taskgroups.TaskGroup._on_task_done": lambda _, group: _task_group(group),
        "anyio._backends._asyncio.TaskGroup._spawn.<locals>.task_done": lambda _, names: _task_group(names.self),
    }

    def __init__(self, tasks: set[Task]) -> None:
        self.tasks: set[Any] = tasks
        self._task_ids = set(map(id, tasks))
        self.stack: Callable[[Task], list[Suspended]] = functools.lru_cache(maxsize=None)(stack)
        self._completed_by: dict[Future, Wait] = {}

    def wait(self, node: Any) -> Wait:
        """Return what a node needs to complete. A node that can't be read, or of an unknown kind, is free."""
        with contextlib.suppress(Exception):
            if not node.done():
                wait = self._wait_of_task(node) if id(node) in self._task_ids else self._wait_of_future(node)
                awaited = tuple(other for other in wait.awaited if self._is_known(other) and not other.done())
                is_free = wait.any_is_enough and len(awaited) < len(wait.awaited)
                return FREE if is_free else wait._replace(awaited=awaited)
        return FREE

    def record_completions(self, callbacks: Iterable[Callback]) -> None:
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
                    self._completed_by[target] = needed or any_of([*(before or FREE).awaited, future])

    def is_made_by_wait_for(self, task: Any) -> bool:
        """Return whether ``wait_for()`` created this task, which it does before Python 3.12."""
        return any(_function_and_bound(callback)[0] == _RELEASE_WAITER for _, callback in callbacks_of(task))

    @functools.cached_property
    def _holders(self) -> dict[int, list[Task]]:
        """The tasks in the ``async with`` of each lock, by its id; a task that has entered it twice is listed twice."""
        tasks_by_lock: dict[int, list[Task]] = {}
        for task in self.tasks:
            frames = self.stack(task)
            entered = [lock for frame in frames for lock in _entered(frame)]
            is_waiting = entered and frames[-1].function in ("asyncio.locks.acquire", "asyncio.locks.wait")
            by_exit_stack = [frame.function for frame in frames[-3:-2]] == ["contextlib.enter_async_context"]
            if is_waiting and not by_exit_stack:
                # __aexit__ is on the stack before the lock is acquired, and while a condition has released it.
                with contextlib.suppress(ValueError):
                    entered.remove(next(_locks_of(frames[-1].variables["self"]), 0))
            for lock in entered:
                tasks_by_lock.setdefault(lock, []).append(task)
        return tasks_by_lock

    def _wait_of_task(self, task: Any) -> Wait:
        future = task._fut_waiter
        if not self._is_known(future) or future.done():
            return FREE  # it is about to run, or awaits a user-defined object
        frames = self.stack(task)
        # A task that can't be read has no frames, so this raises, and wait() makes the task free.
        for frame in (calling_frame(frames) or frames[-1], frames[-1]):
            rule = self.rules.get(frame.function)
            wait = rule(self, frame, frames, future) if rule else None
            if wait is not None:
                return wait
        return Wait((future,))

    def _wait_of_future(self, future: Any) -> Wait:
        if type(future) is Wait:
            return future
        if type(future) is _GATHERING:
            return Wait(tuple(future._children))
        return self._completed_by.get(future, FREE)

    def _is_known(self, node: Any) -> bool:
        return id(type(node)) in _FUTURE_IDS or id(node) in self._task_ids or type(node) is Wait


def calling_frame(frames: list[Suspended]) -> Suspended | None:
    """Return the innermost frame outside asyncio, contextlib and livekit.agents.utils, or None."""
    return next((frame for frame in reversed(frames) if not frame.function.startswith(_HELPERS)), None)


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


def _task_group(group: Any) -> tuple[Iterable[Any], Wait]:
    return [group._on_completed_fut], Wait(tuple(group._tasks))


def _function_and_bound(callback: Any) -> tuple[str, Any]:
    """Return the full name of a callback's function, and what is bound in it, see ``Completion``."""
    bound: Any = None
    if type(callback) is functools.partial:
        bound, callback = callback.args, callback.func
    elif type(callback) is MethodType:
        bound, callback = callback.__self__, callback.__func__
    if type(callback) is not FunctionType:
        return "", bound
    if bound is None:
        bound = SimpleNamespace()
        for name, cell in zip(callback.__code__.co_freevars, callback.__closure__ or ()):
            with contextlib.suppress(ValueError):  # the cell is empty
                vars(bound)[name] = cell.cell_contents
    module: Any = dict.get(callback.__globals__, "__name__")  # of any type, but join() runs no user code
    return ".".join((module, callback.__qualname__)), bound


def _entered(frame: Suspended) -> Iterator[int]:
    """Yield the locks, by identity, whose ``async with`` a coroutine or generator is in.

    The value stack has the bound ``__aexit__`` of the block; from Python 3.14 on, the function and then its ``self``.
    Before Python 3.11 the frame refers to the value stack, and not the coroutine. Both also refer to the variables.
    """
    entries = gc.get_referents(frame.awaitable, frame.frame)
    for entry, following in zip(entries, [*entries[1:], None]):
        is_bound = type(entry) is MethodType
        if id(entry.__func__ if is_bound else entry) in _EXIT_IDS:
            yield from _locks_of(entry.__self__ if is_bound else following)


def _locks_of(manager: Any) -> Iterator[int]:
    """Yield the locks that a context manager of the standard library holds for its block."""
    kind: Any = type(manager)
    lock = manager._lock if kind is asyncio.Condition else manager
    if type(lock) is asyncio.Lock:
        yield id(lock)
    elif kind is contextlib.AsyncExitStack:
        for _, callback in manager._exit_callbacks:
            yield from _locks_of(callback.__self__) if type(callback) is MethodType else ()
    # If it runs (it enters or leaves the block), it is on the task's stack, and examined there.
    elif kind is contextlib._AsyncGeneratorContextManager and not manager.gen.ag_running:
        frame = Suspended(manager.gen, manager.gen.ag_frame, None)
        if frame.function == _HOLDS_FLOOR:
            yield id(frame.variables["self"])
        yield from _entered(frame)
