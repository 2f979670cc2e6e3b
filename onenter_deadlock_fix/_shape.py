"""What the wrappers rely on in the library's code, and in what a build's code is different."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from types import CodeType
from typing import Any, Callable, Optional

_VOICE = "livekit.agents.voice."
_AWAIT_IMPL = "agent:AgentTask._AgentTask__await_impl"

# function -> its signature (None where it does not matter) and names that its code uses
Shape = Mapping[str, tuple[Optional[str], set[str]]]

# What the wrappers of _patch rely on, the same in every release from 1.2.0 to 1.3.5.
HANDOFF: Shape = {
    "agent:AgentTask.__await__": (None, {"_AgentTask__await_impl"}),
    _AWAIT_IMPL: ("async (self)", {"_AgentActivityContextVar", "_update_activity", "blocked_tasks"}),
    "agent_session:AgentSession._update_activity": (
        "async (self, agent, *, previous_activity='close', new_activity='start', "
        "blocked_tasks=None, wait_on_enter=True)",
        {"_activity", "_on_enter_task"},
    ),
    "agent_activity:AgentActivity.__init__": (None, {"_on_enter_task"}),
}

# What detection relies on, the same in every release from 1.2.0 to 2.0.0b1.
DRAIN: Shape = {
    _AWAIT_IMPL: ("async (self)", {"_update_activity"}),
    "agent:_get_activity_task_info": ("(task)", {"__livekit_agents_activity_task"}),
    "agent_activity:AgentActivity._create_speech_task": (None, {"_speech_tasks", "_tasks", "_mark_done"}),
    "agent_activity:AgentActivity._pause_scheduling_task": (
        "async (self, *, blocked_tasks=None)",
        {"_scheduling_paused", "_scheduling_atask", "_wake_up_scheduling_task"},
    ),
    "agent_activity:AgentActivity._scheduling_task": (
        "async (self)",
        {"_q_updated", "_drain_blocked_tasks", "_speech_tasks", "speech_handle", "_scheduling_paused"},
    ),
    "agent_activity:AgentActivity._wake_up_scheduling_task": ("(self)", {"_q_updated"}),
    "agent_activity:AgentActivity.aclose": ("async (self)", set()),
    "agent_activity:AgentActivity.drain": (None, {"_pause_scheduling_task"}),
    "agent_activity:AgentActivity.pause": (None, {"_pause_scheduling_task", "blocked_tasks"}),
    "agent_session:AgentSession._update_activity": (None, {"_activity_lock"}),
    "speech_handle:SpeechHandle.add_done_callback": (None, {"_done_callbacks"}),
    "speech_handle:SpeechHandle.wait_for_playout": ("async (self)", {"_done_fut"}),
}


def has_upstreams_fix() -> bool:
    """Say whether the await of an AgentTask looks at the on_enter task, as it does from pull request #4113 on."""
    return "_on_enter_task" in _names(_function(_AWAIT_IMPL))


def difference(shape: Shape) -> str | None:
    """Say in what the code is not of this shape, or return None."""
    for path, (signature, names) in shape.items():
        function = _function(path)
        name = path.partition(":")[2]
        if function is None:
            return f"there is no {name}"
        if signature is not None and _signature(function) != signature:
            return f"{name} is not {signature}"
        missing = sorted(names - _names(function))
        if missing:
            return f"{name} makes no use of {missing[0]}"
    return None


def _function(path: str) -> Callable[..., Any] | None:
    """Return the library's own function, also from below the wrappers of others, or None where it is not there."""
    try:
        function: Callable[..., Any] = inspect.unwrap(pkgutil.resolve_name(_VOICE + path))
    except (ImportError, AttributeError, ValueError):
        return None
    return function if inspect.isfunction(function) else None


def _signature(function: Callable[..., Any]) -> str:
    """Return the signature without annotations, behind ``async`` where it is a coroutine function's."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return f"async {text}" if inspect.iscoroutinefunction(function) else text


def _names(function: Callable[..., Any] | None) -> set[str]:
    """Return the names that a function's code uses: variables, attributes, keywords, strings given to getattr."""
    return set() if function is None else _names_in(function.__code__)


def _names_in(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
        elif isinstance(constant, str):
            names.add(constant)
        elif isinstance(constant, tuple):  # the keywords of a call are kept as one
            names.update(word for word in constant if isinstance(word, str))
    return names
