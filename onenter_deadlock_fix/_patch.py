"""What: the two wrappers around livekit-agents.

Awaiting an ``AgentTask`` hands the conversation over: the session pauses the old agent's activity, starts the
AgentTask's, and comes back when the AgentTask is complete. Both ways lead through ``AgentSession._update_activity``.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable

from packaging.version import Version

from ._wrapper import CoroutineFunction, Switch, Wrappers

if TYPE_CHECKING:
    from contextvars import ContextVar

    from livekit.agents.voice.agent import Agent, AgentTask
    from livekit.agents.voice.agent_activity import AgentActivity
    from livekit.agents.voice.agent_session import AgentSession

    Note = Callable[[Callable[[], str]], None]  # is given what says in words what has been changed
    CurrentActivity = ContextVar[AgentActivity]

# An attribute of the asyncio task, as is the library's own note on what a task does: a ContextVar would be inherited by
# every task that is created meanwhile. Weak, since it is not taken off again and an activity keeps its on_enter task.
_AWAITED = "__onenter_deadlock_fix_awaited"

# Attributes of the session, before 1.2.6: the lock of those who enter an agent, and the activities being entered.
_TURN = "__onenter_deadlock_fix_turn"
_ENTERED = "__onenter_deadlock_fix_entered"

_wrappers = Wrappers()
uninstall = _wrappers.uninstall


def install(note: Note) -> None:
    """Wrap both methods, or none where that raises. ``note`` is called for each handoff that is changed."""
    from livekit.agents.version import __version__ as release
    from livekit.agents.voice.agent import AgentTask
    from livekit.agents.voice.agent_activity import _AgentActivityContextVar
    from livekit.agents.voice.agent_session import AgentSession

    def update_activity(wrapped: CoroutineFunction, switch: Switch) -> CoroutineFunction:
        if Version(release) < Version("1.2.6"):
            returns = Version(release) < Version("1.2.4")
            wrapped = _enter_outside_the_lock(wrapped, switch, note, _AgentActivityContextVar, waits_on_return=returns)
        return _update_activity(wrapped, note, _AgentActivityContextVar)

    _wrappers.install(
        (
            (AgentTask, "_AgentTask__await_impl", _await_impl),
            (AgentSession, "_update_activity", update_activity),
        )
    )


def _await_impl(wrapped: CoroutineFunction, switch: Switch) -> CoroutineFunction:
    """Wrap ``AgentTask.__await_impl``: note on the task that calls ``__await__`` which AgentTask it awaits."""

    def wrapper(instance: AgentTask[Any]) -> Coroutine[Any, Any, Any]:
        task = _current_task()
        if task is not None and switch.on:
            setattr(task, _AWAITED, weakref.ref(instance))
        bound: CoroutineFunction = wrapped.__get__(instance, type(instance))
        return bound()

    return wrapper


def _update_activity(wrapped: CoroutineFunction, note: Note, current_activity: CurrentActivity) -> CoroutineFunction:
    """Wrap ``AgentSession._update_activity``: a handoff does not wait for the old agent's on_enter.

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
            on_enter = _unfinished_on_enter(activity)
            blocked_tasks = blocked_tasks or []
            if on_enter is not None and on_enter not in blocked_tasks:
                blocked_tasks = [*blocked_tasks, on_enter]
                note(functools.partial(_in_words, agent, activity.agent))
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


def _enter_outside_the_lock(
    wrapped: CoroutineFunction, switch: Switch, note: Note, current_activity: CurrentActivity, *, waits_on_return: bool
) -> CoroutineFunction:
    """Wrap ``AgentSession._update_activity`` of 1.2.0 to 1.2.5, which waits for an on_enter while it holds a lock.

    An AgentTask that is awaited in that on_enter needs the lock: the wait comes after it is released, as from 1.2.6 on
    (pull request #3155). On the way back from an AgentTask there is no such wait, as from 1.2.4 on (#3090).
    """

    def wrapper(instance: AgentSession[Any], agent: Agent, **keywords: Any) -> Coroutine[Any, Any, None]:
        bound: CoroutineFunction = wrapped.__get__(instance, type(instance))
        update: CoroutineFunction = functools.partial(bound, agent, **keywords)
        hands_over = keywords["previous_activity"] == "pause" and _awaited() is agent
        if hands_over:
            activity = current_activity.get()
            on_enter = _unfinished_on_enter(activity)
            hands_over_itself = on_enter is not None and on_enter is _current_task()
            entered = vars(instance).get(_ENTERED)  # those whose on_enter would be waited for under the lock
            if hands_over_itself and waits_on_return:
                note(functools.partial(_in_words, agent, activity.agent))
            elif entered and (hands_over_itself or on_enter is None):  # else it is noted already
                note(functools.partial(_in_words, agent, entered[-1].agent))
        if not keywords["wait_on_enter"] or not switch.on:
            return update()
        update = functools.partial(update, wait_on_enter=False)
        if keywords["new_activity"] == "resume" and _awaited() is not None:
            return update()
        return (_enter if hands_over else _enter_in_turn)(instance, update)

    return wrapper


async def _enter(session: AgentSession[Any], update: CoroutineFunction) -> None:
    """Wait for the new on_enter only after the session's lock is released."""
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


def _unfinished_on_enter(activity: AgentActivity) -> asyncio.Task[Any] | None:
    task = activity._on_enter_task
    return None if task is None or task.done() else task


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
    """Say of a handoff, in the task that hands over, what it does not wait for."""
    from livekit.agents.voice.agent import _get_activity_task_info

    info = _get_activity_task_info(asyncio.current_task())  # type: ignore[arg-type]
    by = f"the tool {info.function_call.name}" if info and info.function_call else "on_enter or on_exit"
    return (
        f"the handoff to {type(agent_task).__name__} by {by} does not wait for on_enter of {type(entered).__name__}, "
        "which is unfinished (livekit/agents issue #4109)"
    )
