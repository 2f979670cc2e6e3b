"""What: the two wrappers around livekit-agents, put on and taken off.

Awaiting an ``AgentTask`` hands the conversation over: the session pauses the old agent's activity, starts the
AgentTask's, and comes back when the AgentTask is complete. Both ways lead through ``AgentSession._update_activity``.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Awaitable, Coroutine
from types import MethodType
from typing import Any, Callable

import wrapt
from livekit.agents.version import __version__ as release
from livekit.agents.voice.agent import AgentTask
from livekit.agents.voice.agent_activity import _AgentActivityContextVar
from livekit.agents.voice.agent_session import AgentSession
from packaging.version import Version

# An attribute of the asyncio task, as is the library's own note on what a task does. In a ContextVar it would reach
# every task that is created meanwhile, and those of the resumed activity would keep the AgentTask alive.
_AWAITED = "__onenter_deadlock_fix_awaited"

_WAITS_UNDER_LOCK = Version(release) < Version("1.2.6")  # for the on_enter of any agent: pull request #3155
_TURN = "__onenter_deadlock_fix_turn"  # an attribute of the session: the lock of those who enter an agent

_Update = Callable[..., Coroutine[Any, Any, None]]
_Session = AgentSession[Any]
_Args = tuple[Any, ...]
_KwArgs = dict[str, Any]


async def _await_impl(
    wrapped: Callable[..., Awaitable[Any]], instance: AgentTask[Any], args: _Args, kwargs: _KwArgs
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


def _update_activity(wrapped: _Update, instance: _Session, args: _Args, kwargs: _KwArgs) -> Coroutine[Any, Any, None]:
    """Wrapper around ``AgentSession._update_activity``: has it wait for no on_enter that may be waiting for it."""
    agent = args[0] if args else kwargs.get("agent")
    awaited = getattr(_current_task(), _AWAITED, None)
    if awaited is not None and agent is awaited and kwargs.get("previous_activity") == "pause":
        return _hand_over(wrapped, instance, args, kwargs)
    if awaited is not None and kwargs.get("new_activity") == "resume":
        # the way back, as from 1.2.4 on: pull request #3090
        return wrapped(*args, **{**kwargs, "wait_on_enter": False})
    if _WAITS_UNDER_LOCK and kwargs.get("wait_on_enter", True):
        return _enter_in_turn(wrapped, instance, args, kwargs)
    return wrapped(*args, **kwargs)


def _hand_over(wrapped: _Update, session: _Session, args: _Args, kwargs: _KwArgs) -> Coroutine[Any, Any, None]:
    """Pause without waiting for the old on_enter, which may wait, now or later, for the tool that hands over.

    As from 1.3.6 on: pull request #4113.
    """
    blocked_tasks = list(kwargs.get("blocked_tasks") or ())
    on_enter_task = _AgentActivityContextVar.get()._on_enter_task
    if on_enter_task is not None and not on_enter_task.done() and on_enter_task not in blocked_tasks:
        blocked_tasks.append(on_enter_task)
    kwargs = {**kwargs, "blocked_tasks": blocked_tasks}
    return _enter(wrapped, session, args, kwargs) if _WAITS_UNDER_LOCK else wrapped(*args, **kwargs)


async def _enter(wrapped: _Update, session: _Session, args: _Args, kwargs: _KwArgs) -> None:
    """Wait for the new on_enter only after the session's lock is released, which an AgentTask in there needs.

    As from 1.2.6 on: pull request #3155.
    """
    await wrapped(*args, **{**kwargs, "wait_on_enter": False})
    if kwargs.get("wait_on_enter", True):
        await asyncio.shield(session._activity._on_enter_task)  # type: ignore[union-attr,arg-type]


async def _enter_in_turn(wrapped: _Update, session: _Session, args: _Args, kwargs: _KwArgs) -> None:
    """Enter one agent after the other, as ``update_agent()`` sees to from 1.2.6 on and the lock did before."""
    async with vars(session).setdefault(_TURN, asyncio.Lock()):
        await _enter(wrapped, session, args, kwargs)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no running event loop, which the library itself complains about
        return None


class _Wrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    """A wrapper with a switch: off, it calls what it wraps. It binds as a plain function does.

    The library asks each attribute of each new AgentTask whether it is a tool (``find_function_tools``). A bound
    method is asked in no time; to ask wrapt's bound proxy would be most of what the shim costs.
    """

    def __init__(self, wrapped: Callable[..., Any], wrapper: Callable[..., Any]) -> None:
        super().__init__(wrapped, wrapper)
        on = threading.Event()

        @functools.wraps(wrapped)
        def function(instance: Any, *args: Any, **kwargs: Any) -> Any:
            bound = wrapped.__get__(instance, type(instance))
            return wrapper(bound, instance, args, kwargs) if on.is_set() else bound(*args, **kwargs)

        self._self_on = on
        self._self_function = function

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self._self_function, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_function(*args, **kwargs)


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
                if vars(owner)[name] is ours.__wrapped__:  # not put on yet, or taken off by somebody else
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
