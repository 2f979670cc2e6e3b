"""Wrap the two methods through which an AgentTask is entered: its handoff no longer waits for the old ``on_enter()``.

Awaiting an ``AgentTask`` calls ``AgentTask.__await_impl``, which calls ``AgentSession._update_activity`` with
``previous_activity="pause"`` and ``blocked_tasks=[the awaiting task]``. That handoff waits for all speech tasks of the
old agent except the blocked tasks. Upstream's fix (pull request #4113) adds the old agent's ``on_enter`` task to these.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import weakref
from contextvars import ContextVar
from typing import Any, Callable

from . import _wrapping
from ._guard import Verdict
from ._wrapping import Wrapper

# The AgentTask that this context awaited last. A task that is created for the handoff inherits it.
_awaited: ContextVar[Callable[[], Any]] = ContextVar("onenter_deadlock_fix_awaited", default=lambda: None)

uninstall, describe_replacement = _wrapping.uninstall, _wrapping.describe_replacement
handoffs = 0  # how many were changed in this process
_handoffs_lock = threading.RLock()  # sessions may run in several threads; a signal handler may interrupt the count


def install(classes: list[Any], verdict: Verdict, log_status_once: Callable[[], None]) -> None:
    """Wrap the methods, or none of them if that raises.

    classes: weak references to AgentTask, AgentSession and AgentActivity.
    log_status_once: called when a session starts, and at every change of its agent.
    """
    agent_task, agent_session, _ = loaded = [reference() for reference in classes]
    update_activity = functools.partial(_update_activity, log_status_once)
    methods: list[tuple[type, str, Wrapper]] = [(agent_task, "_AgentTask__await_impl", _await_impl)]
    if verdict.has_other_waits:
        from . import _patch_before_1_2_6

        methods += _patch_before_1_2_6.methods_to_wrap(loaded, update_activity, awaited_agent_task)
    else:
        methods.append((agent_session, "_update_activity", update_activity))
    _wrapping.install(methods)


def awaited_agent_task() -> Any:
    """Return the AgentTask that this context awaited last, or None."""
    return _awaited.get()()


def _await_impl(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Wrap ``AgentTask.__await_impl``: note which AgentTask is awaited."""
    _awaited.set(weakref.ref(instance))
    return wrapped(*args, **kwargs)


def _update_activity(log_status_once: Any, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap ``AgentSession._update_activity``: add the old agent's ``on_enter`` task to the blocked tasks."""
    log_status_once()
    agent = args[0] if args else kwargs.get("agent")
    if kwargs.get("previous_activity") == "pause" and agent is not None and agent is awaited_agent_task():
        from livekit.agents.voice.agent_activity import _AgentActivityContextVar  # a reload creates a new one

        old_activity = _AgentActivityContextVar.get(None)
        on_enter = getattr(old_activity, "_on_enter_task", None)
        blocked_tasks = kwargs.get("blocked_tasks") or []
        if on_enter is not None and not on_enter.done() and not any(task is on_enter for task in blocked_tasks):
            kwargs = {**kwargs, "blocked_tasks": [*blocked_tasks, on_enter]}
            if instance._activity is old_activity:  # else the agent was replaced, and this handoff pauses another agent
                _log_handoff(agent, old_activity.agent, next(iter(blocked_tasks), None))
    return wrapped(*args, **kwargs)


def _log_handoff(agent_task: Any, old_agent: Any, awaiting_task: Any) -> None:
    """Count a handoff that the fix changes, and log the first at INFO and the others at DEBUG."""
    global handoffs
    with contextlib.suppress(Exception):  # from a log handler, for example; the handoff must go on
        with _handoffs_lock:
            handoffs += 1
            level = logging.INFO if handoffs == 1 else logging.DEBUG
        info = getattr(awaiting_task, "__livekit_agents_activity_task", None)  # set by livekit-agents
        tool = getattr(getattr(info, "function_call", None), "name", None)
        logging.getLogger(__package__).log(
            level,
            "the handoff to %s by %s does not wait for on_enter() of %s, which is still running; "
            "without onenter-deadlock-fix it would wait, and hang where on_enter() waits for this %s",
            type(agent_task).__name__,
            f"the tool {tool}" if tool else "on_enter() or on_exit()",
            type(old_agent).__name__,
            "tool" if tool else "handoff",
        )
