"""What: the two wrappers around livekit-agents, put on and taken off.

Awaiting an ``AgentTask`` hands the conversation over: the session pauses the old agent's activity, starts the
AgentTask's, and comes back when the AgentTask is complete. Both ways lead through ``AgentSession._update_activity``.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from collections.abc import Coroutine
from typing import Any

from livekit.agents.version import __version__ as release
from livekit.agents.voice.agent import Agent, AgentTask
from livekit.agents.voice.agent_activity import _AgentActivityContextVar
from livekit.agents.voice.agent_session import AgentSession
from packaging.version import Version

from ._wrapping import CoroutineFunction, Wrapping

# An attribute of the asyncio task, as is the library's own note on what a task does: a ContextVar would be inherited by
# every task that is created meanwhile. Weak, since it is not taken off again and an activity keeps its on_enter task.
_AWAITED = "__onenter_deadlock_fix_awaited"

_WAITS_UNDER_LOCK = Version(release) < Version("1.2.6")  # for the on_enter of any agent: pull request #3155
_TURN = "__onenter_deadlock_fix_turn"  # an attribute of the session: the lock of those who enter an agent


def _await_impl(wrapped: CoroutineFunction, on: threading.Event) -> CoroutineFunction:
    """Wrap ``AgentTask.__await_impl``: note on the task that calls ``__await__`` which AgentTask it awaits."""

    def wrapper(instance: AgentTask[Any]) -> Coroutine[Any, Any, Any]:
        task = _current_task()
        if task is not None and on.is_set():
            setattr(task, _AWAITED, weakref.ref(instance))
        bound: CoroutineFunction = wrapped.__get__(instance, type(instance))
        return bound()

    return wrapper


def _update_activity(wrapped: CoroutineFunction, on: threading.Event) -> CoroutineFunction:
    """Wrap ``AgentSession._update_activity``: have it wait for no on_enter that may be waiting for it."""

    # The parameters are the library's, spelled out: packed and passed on they cost a fifth of all that the shim adds.
    def wrapper(
        instance: AgentSession[Any],
        agent: Agent,
        *,
        previous_activity: str = "close",
        new_activity: str = "start",
        blocked_tasks: list[asyncio.Task[Any]] | None = None,
        wait_on_enter: bool = True,
        **others: Any,
    ) -> Coroutine[Any, Any, None]:
        update: CoroutineFunction = wrapped.__get__(instance, type(instance))
        hands_over = previous_activity == "pause" and _awaited() is agent
        if hands_over:
            blocked_tasks = _with_on_enter_task(blocked_tasks)
        if _WAITS_UNDER_LOCK and wait_on_enter and on.is_set():
            if new_activity == "resume" and _awaited() is not None:
                wait_on_enter = False  # the way back, as from 1.2.4 on: pull request #3090
            else:
                update = functools.partial(_enter if hands_over else _enter_in_turn, update, instance)
        if others:  # of somebody else's wrapper below ours
            update = functools.partial(update, **others)
        return update(
            agent,
            previous_activity=previous_activity,
            new_activity=new_activity,
            blocked_tasks=blocked_tasks,
            wait_on_enter=wait_on_enter,
        )

    return wrapper


def _with_on_enter_task(blocked_tasks: list[asyncio.Task[Any]] | None) -> list[asyncio.Task[Any]]:
    """Add the old activity's on_enter, which may wait, now or later, for the tool that hands over.

    As from 1.3.6 on: pull request #4113.
    """
    blocked_tasks = blocked_tasks or []
    on_enter_task = _AgentActivityContextVar.get()._on_enter_task
    if on_enter_task is None or on_enter_task.done() or on_enter_task in blocked_tasks:
        return blocked_tasks
    return [*blocked_tasks, on_enter_task]


async def _enter(update: CoroutineFunction, session: AgentSession[Any], agent: Agent, **keywords: Any) -> None:
    """Wait for the new on_enter only after the session's lock is released, which an AgentTask in there needs.

    As from 1.2.6 on: pull request #3155.
    """
    await update(agent, **{**keywords, "wait_on_enter": False})
    await asyncio.shield(session._activity._on_enter_task)  # type: ignore[union-attr,arg-type]


async def _enter_in_turn(update: CoroutineFunction, session: AgentSession[Any], agent: Agent, **keywords: Any) -> None:
    """Enter one agent after the other, as ``update_agent()`` sees to from 1.2.6 on and the lock did before."""
    async with vars(session).setdefault(_TURN, asyncio.Lock()):
        await _enter(update, session, agent, **keywords)


def _awaited() -> AgentTask[Any] | None:
    """Return the AgentTask that the current task awaits, or did last."""
    noted = getattr(_current_task(), _AWAITED, None)
    return None if noted is None else noted()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no running event loop, which the library itself complains about
        return None


_wrapping = Wrapping(
    (
        (AgentTask, "_AgentTask__await_impl", _await_impl),
        (AgentSession, "_update_activity", _update_activity),
    )
)
put_on = _wrapping.put_on
take_off = _wrapping.take_off
