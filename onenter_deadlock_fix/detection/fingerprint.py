"""What detection relies on in the library's code."""

from __future__ import annotations

import functools
from types import ModuleType

from .._guard import Fingerprint
from .._guard import difference as difference_from

# What detection relies on, the same in every release from 1.2.0 to 2.0.0b1.
_DRAIN: Fingerprint = {
    "agent:AgentTask._AgentTask__await_impl": ("async (self)", {"_update_activity"}),
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


@functools.lru_cache(maxsize=1)  # found while the library is as it came: others may wrap it later
def difference(library: ModuleType) -> str | None:
    """Say in what this library's code is not what detection is written for, or return None."""
    return difference_from(_DRAIN)
