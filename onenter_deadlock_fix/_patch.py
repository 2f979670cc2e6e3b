"""What: the two wrappers around livekit-agents, put on and taken off.

Awaiting an ``AgentTask`` hands the conversation over: the session pauses the old agent's activity, starts the
AgentTask's, and comes back when the AgentTask is complete. Both ways lead through ``AgentSession._update_activity``.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Coroutine
from typing import Any, Callable

import wrapt
from livekit.agents.voice.agent import AgentTask
from livekit.agents.voice.agent_activity import _AgentActivityContextVar
from livekit.agents.voice.agent_session import AgentSession

# An attribute of the asyncio task, as is the library's own note on what a task does. In a ContextVar it would reach
# every task that is created meanwhile, and those of the resumed activity would keep the AgentTask alive.
_AWAITED = "__onenter_deadlock_fix_awaited"


async def _await_impl(
    wrapped: Callable[..., Awaitable[Any]], instance: AgentTask[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Wrapper around ``AgentTask.__await_impl``: notes on the current task which AgentTask it awaits."""
    task = _current_task()
    if task is None:
        return await wrapped(*args, **kwargs)
    before = getattr(task, _AWAITED, None)
    setattr(task, _AWAITED, instance)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        setattr(task, _AWAITED, before)


def _update_activity(
    wrapped: Callable[..., Coroutine[Any, Any, None]],
    instance: AgentSession[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Coroutine[Any, Any, None]:
    """Wrapper around ``AgentSession._update_activity``: has an awaited AgentTask come and go without a deadlock."""
    awaited = getattr(_current_task(), _AWAITED, None)
    if awaited is not None:
        agent = args[0] if args else kwargs.get("agent")
        if agent is awaited and kwargs.get("previous_activity") == "pause":
            return _hand_over(wrapped, instance, args, kwargs)
        if kwargs.get("new_activity") == "resume":
            # as from 1.2.4 on, pull request #3090
            return wrapped(*args, **{**kwargs, "wait_on_enter": False})
    return wrapped(*args, **kwargs)


async def _hand_over(
    wrapped: Callable[..., Coroutine[Any, Any, None]],
    session: AgentSession[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    # as from 1.3.6 on, pull request #4113: on_enter may be waiting, now or later, for the tool that hands over
    blocked_tasks = list(kwargs.get("blocked_tasks") or ())
    on_enter_task = _AgentActivityContextVar.get()._on_enter_task
    if on_enter_task is not None and not on_enter_task.done() and on_enter_task not in blocked_tasks:
        blocked_tasks.append(on_enter_task)

    await wrapped(*args, **{**kwargs, "blocked_tasks": blocked_tasks, "wait_on_enter": False})

    # as from 1.2.6 on, pull request #3155: without the session's lock, which an AgentTask in that on_enter needs
    if kwargs.get("wait_on_enter", True):
        await asyncio.shield(session._activity._on_enter_task)  # type: ignore[union-attr,arg-type]


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no running event loop, which the library itself complains about
        return None


class _Wrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    """A wrapper with a switch; off, it calls what it wraps."""

    def __init__(self, wrapped: Callable[..., Any], wrapper: Callable[..., Any]) -> None:
        on = threading.Event()
        super().__init__(wrapped, wrapper, enabled=on.is_set)
        self._self_on = on

    def __call__(self, instance: Any, *args: Any, **kwargs: Any) -> Any:
        """Bind, then call: the way of those who have taken the function from the class's dictionary."""
        return self.__get__(instance, type(instance))(*args, **kwargs)


_FUNCTIONS = (
    (AgentTask, "_AgentTask__await_impl", _await_impl),
    (AgentSession, "_update_activity", _update_activity),
)
_standing: dict[str, _Wrapper] = {}  # those put on and not put off again, in the library or below others' wrappers
_lock = threading.Lock()


def put_on() -> None:
    """Wrap both functions, or neither where that raises; switch on what still stands from before."""
    with _lock:
        try:
            for owner, name, wrapper in _FUNCTIONS:
                ours = _standing.get(name) or _find(owner, name)
                if ours is None:
                    ours = _Wrapper(vars(owner)[name], wrapper)
                    setattr(owner, name, ours)
                ours._self_on.set()
                _standing[name] = ours
        except BaseException:
            _take_off()
            raise


def take_off() -> None:
    """Put the library's functions back; where others have wrapped on top of ours, ours pass everything through."""
    with _lock:
        _take_off()


def _take_off() -> None:
    for owner, name, _ in _FUNCTIONS:
        ours = _standing.get(name)
        if ours is None:
            continue
        ours._self_on.clear()
        if vars(owner)[name] is ours:
            setattr(owner, name, ours.__wrapped__)
            del _standing[name]


def _find(owner: type, name: str) -> _Wrapper | None:
    """Return the wrapper that an earlier import of this module has left, or None."""
    found = inspect.unwrap(vars(owner)[name], stop=_is_ours)
    return found if _is_ours(found) else None


def _is_ours(function: Callable[..., Any]) -> bool:
    return type(function).__module__ == __name__  # type() tells a proxy from what it stands for
