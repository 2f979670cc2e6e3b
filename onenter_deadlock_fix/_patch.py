"""What: the two wrappers around livekit-agents.

Awaiting an ``AgentTask`` hands the conversation over: the session pauses the old agent's activity, starts the
AgentTask's, and comes back when the AgentTask is complete. Both ways lead through ``AgentSession._update_activity``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable

from packaging.version import Version

from ._wrapper import CoroutineFunction, Wrappers

if TYPE_CHECKING:
    from contextvars import ContextVar

    from livekit.agents.voice.agent import Agent, AgentTask
    from livekit.agents.voice.agent_activity import AgentActivity
    from livekit.agents.voice.agent_session import AgentSession

    Note = Callable[[Agent, Agent], None]  # the AgentTask, and the agent whose on_enter the handoff does not wait for

# An attribute of the asyncio task, as is the library's own note on what a task does: a ContextVar would be inherited by
# every task that is created meanwhile. Weak, since it is not taken off again and an activity keeps its on_enter task.
_AWAITED = "__onenter_deadlock_fix_awaited"

# Attributes of the session, before 1.2.6: the lock of those who enter an agent, and the activities being entered.
_TURN = "__onenter_deadlock_fix_turn"
_ENTERED = "__onenter_deadlock_fix_entered"

_logger = logging.getLogger(__package__)
_wrappers = Wrappers()
uninstall = _wrappers.uninstall


def install(count: Callable[[], int]) -> None:
    """Wrap both methods, or none where that raises.

    ``count`` is called once for each handoff that is changed, and returns how many these are.
    """
    from livekit.agents.version import __version__ as release
    from livekit.agents.voice.agent import AgentTask
    from livekit.agents.voice.agent_activity import _AgentActivityContextVar
    from livekit.agents.voice.agent_session import AgentSession

    def note(agent_task: Agent, entered: Agent) -> None:
        level = logging.INFO if count() == 1 else logging.DEBUG
        if _logger.isEnabledFor(level):
            with contextlib.suppress(Exception):  # of a handler or a filter of the program's, whose handoff must go on
                _logger.log(level, _in_words(agent_task, entered))

    noted: weakref.WeakSet[Agent] = weakref.WeakSet()

    def note_once(agent_task: Agent, entered: Agent) -> None:
        if agent_task not in noted:
            noted.add(agent_task)
            note(agent_task, entered)

    def update_activity(wrapped: CoroutineFunction) -> CoroutineFunction:
        if Version(release) >= Version("1.2.6"):
            return _update_activity(wrapped, _AgentActivityContextVar, note)
        # two wrappers that may change the same handoff
        return _update_activity(_enter_outside_the_lock(wrapped, note_once), _AgentActivityContextVar, note_once)

    _wrappers.install(
        (
            (AgentTask, "_AgentTask__await_impl", _await_impl),
            (AgentSession, "_update_activity", update_activity),
        )
    )


def _await_impl(wrapped: CoroutineFunction) -> CoroutineFunction:
    """Wrap ``AgentTask.__await_impl``: note on the task that calls ``__await__`` which AgentTask it awaits."""

    def wrapper(instance: AgentTask[Any]) -> Coroutine[Any, Any, Any]:
        task = _current_task()
        if task is not None and _wrappers.on:
            setattr(task, _AWAITED, weakref.ref(instance))
        bound: CoroutineFunction = wrapped.__get__(instance, type(instance))
        return bound()

    return wrapper


def _update_activity(
    wrapped: CoroutineFunction, current_activity: ContextVar[AgentActivity], note: Note
) -> CoroutineFunction:
    """Wrap ``AgentSession._update_activity``: the handoff to an AgentTask does not wait for the old agent's on_enter.

    That may wait, now or later, for the tool that hands over. As from 1.3.6 on: pull request #4113.
    """

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
        if previous_activity == "pause" and _awaited() is agent:
            activity = current_activity.get()
            on_enter = activity._on_enter_task
            blocked_tasks = blocked_tasks or []
            if on_enter is not None and not on_enter.done() and on_enter not in blocked_tasks:
                blocked_tasks = [*blocked_tasks, on_enter]
                if instance._activity is activity:  # else the agent has been replaced, and the handoff pauses another
                    note(agent, activity.agent)
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


def _enter_outside_the_lock(wrapped: CoroutineFunction, note: Note) -> CoroutineFunction:
    """Wrap ``AgentSession._update_activity`` of 1.2.0 to 1.2.5, which waits for an on_enter while it holds a lock.

    An AgentTask that is awaited in that on_enter needs the lock. So the wait comes after its release, as from 1.2.6 on
    (pull request #3155), and on the way back from an AgentTask there is none, as from 1.2.4 on (#3090).
    """

    def wrapper(instance: AgentSession[Any], agent: Agent, **keywords: Any) -> Coroutine[Any, Any, None]:
        bound: CoroutineFunction = wrapped.__get__(instance, type(instance))
        if not keywords["wait_on_enter"] or not _wrappers.on:
            return bound(agent, **keywords)
        update: CoroutineFunction = functools.partial(bound, agent, **{**keywords, "wait_on_enter": False})
        awaited = _awaited()
        if keywords["new_activity"] == "resume" and awaited is not None:
            on_enter = getattr(agent._activity, "_on_enter_task", None)
            if on_enter is not None and not on_enter.done():
                note(awaited, agent)
            return update()
        if keywords["previous_activity"] == "pause" and awaited is agent:
            for activity in vars(instance).get(_ENTERED, ()):
                note(agent, activity.agent)
            return _enter(instance, update)
        return _enter_in_turn(instance, update)

    return wrapper


async def _enter(session: AgentSession[Any], update: CoroutineFunction) -> None:
    await update()
    activity = session._activity
    entered = vars(session).setdefault(_ENTERED, [])
    entered.append(activity)
    try:
        await asyncio.shield(activity._on_enter_task)  # type: ignore[union-attr,arg-type]
    finally:
        entered.remove(activity)


async def _enter_in_turn(session: AgentSession[Any], update: CoroutineFunction) -> None:
    """Enter one agent after the other, as ``update_agent()`` sees to from 1.2.6 on and the lock did before."""
    async with vars(session).setdefault(_TURN, asyncio.Lock()):
        await _enter(session, update)


def _awaited() -> AgentTask[Any] | None:
    """Return the AgentTask that the current task awaits, or did last."""
    noted = getattr(_current_task(), _AWAITED, None)
    return None if noted is None else noted()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no running event loop, which the library itself complains about
        return None


def _in_words(agent_task: Agent, entered: Agent) -> str:
    """Say in the task that hands over, or comes back, what the handoff does not wait for."""
    info = getattr(_current_task(), "__livekit_agents_activity_task", None)  # the library's own note
    tool = getattr(getattr(info, "function_call", None), "name", None)
    by = f"the tool {tool}" if tool else "on_enter or on_exit"
    return (
        f"the handoff to {type(agent_task).__name__} by {by} does not wait for on_enter of {type(entered).__name__}, "
        "which is unfinished; without onenter-deadlock-fix it would"
    )
