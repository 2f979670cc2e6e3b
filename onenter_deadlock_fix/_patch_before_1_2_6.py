"""Remove three more waits that block an AgentTask on 1.2.0 to 1.2.5. Later releases never import this.

- ``_update_activity`` waits for the new agent's ``on_enter()`` while it holds ``_activity_lock``, which an AgentTask
  awaited in that ``on_enter()`` needs. From 1.2.6 on it releases the lock first (pull request #3155).
- On return from an AgentTask, up to 1.2.3, it waits for ``on_enter()`` of the agent that resumes (pull request #3090).
- On return, ``__await_impl`` updates the chat context of the realtime session that ``pause()`` has closed, up to
  1.2.3. From 1.2.4 on it sets the items, and the new realtime session gets them when the activity resumes.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable
from typing import Any, Callable

from ._wrapping import Wrapper

# The code that this module relies on, in addition to the guard's fingerprint.
FINGERPRINT: dict[str, tuple[str | None, set[str]]] = {
    "agent_session:AgentSession.__init__": (None, {"_activity_lock", "_agent"}),
    "agent_activity:AgentActivity.update_chat_ctx": ("async (self, chat_ctx)", {"_chat_ctx", "_rt_session"}),
    "agent:AgentTask.__init__": (None, {"_AgentTask__fut"}),
}
_ENTER_LOCK = "__onenter_deadlock_fix_enter_lock"  # session attribute: a lock that is held while an agent is entered


def methods_to_wrap(
    classes: list[Any], later_wrapper: Wrapper, awaited_agent_task: Callable[[], Any]
) -> list[tuple[type, str, Wrapper]]:
    """Return the methods to wrap beside ``AgentTask.__await_impl``.

    later_wrapper: the wrapper for ``_update_activity`` of later releases.
    """
    agent_task, agent_session, agent_activity = classes

    def update_activity(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        # The wrapper of later releases, around an _update_activity() that waits for on_enter() as that of 1.2.6 does.
        update = functools.partial(_update_activity_as_in_1_2_6, wrapped, instance)
        return later_wrapper(update, instance, args, kwargs)

    def update_chat_ctx(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        awaited = awaited_agent_task()
        is_returning = awaited is not None and awaited._AgentTask__fut.done() and instance.session._agent is awaited
        if is_returning and instance.agent is not awaited and instance._rt_session is not None:
            return _set_chat_items(instance.agent, *args, **kwargs)
        return wrapped(*args, **kwargs)

    wrappers: list[tuple[type, str, Wrapper]] = [(agent_session, "_update_activity", update_activity)]
    if "update_chat_ctx" in inspect.unwrap(agent_task._AgentTask__await_impl).__code__.co_names:  # up to 1.2.3
        wrappers.append((agent_activity, "update_chat_ctx", update_chat_ctx))
    return wrappers


def _update_activity_as_in_1_2_6(wrapped: Callable[..., Any], session: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the awaitable of a handoff that waits for ``on_enter()`` of the new agent as 1.2.6 does."""
    update = functools.partial(wrapped, *args, **{**kwargs, "wait_on_enter": False})
    if not kwargs.get("wait_on_enter", True) or kwargs.get("new_activity") == "resume":
        return update()
    if kwargs.get("previous_activity") == "pause":
        return _enter(session, update)
    return _enter_one_at_a_time(session, update)


async def _enter(session: Any, update: Callable[[], Awaitable[None]]) -> None:
    await update()
    await asyncio.shield(session._activity._on_enter_task)


async def _enter_one_at_a_time(session: Any, update: Callable[[], Awaitable[None]]) -> None:
    """Enter one agent after the other, as ``update_agent()`` does from 1.2.6 on and the lock did before."""
    async with vars(session).setdefault(_ENTER_LOCK, asyncio.Lock()):
        await _enter(session, update)


async def _set_chat_items(agent: Any, chat_ctx: Any) -> None:
    agent._chat_ctx.items[:] = chat_ctx.items
