"""The user speaks, as the audio recognition of livekit-agents tells an activity of it."""

from __future__ import annotations

import inspect
import time
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.voice import audio_recognition
from livekit.agents.voice.agent_activity import AgentActivity


def preemptive_generation() -> dict[str, Any]:
    """Return the options of a session that switch preemptive generation on."""
    if "turn_handling" in inspect.signature(AgentSession).parameters:
        return {"turn_handling": {"preemptive_generation": {"enabled": True}}}
    return {"preemptive_generation": True}


def user_is_speaking(activity: AgentActivity, text: str) -> None:
    """Have a preemptive generation made, as for an interim transcript."""
    known = {"new_transcript": text, "transcript_confidence": 1.0, "started_speaking_at": time.time()}
    activity.on_preemptive_generation(_made(audio_recognition._PreemptiveGenerationInfo, known))


def user_has_spoken(activity: AgentActivity, text: str) -> None:
    """End the user's turn."""
    known = {"skip_reply": False, "new_transcript": text, "transcript_confidence": 1.0}
    metrics = getattr(audio_recognition, "_EndOfTurnMetrics", None)
    if metrics is not None:
        known["metrics"] = _made(metrics, {})
    activity.on_end_of_turn(_made(audio_recognition._EndOfTurnInfo, known))


def _made(cls: Any, known: dict[str, Any]) -> Any:
    """Make an object of a class of the library, whose parameters differ from release to release."""
    parameters = inspect.signature(cls).parameters.values()
    needed = {one.name: 0.0 if one.name.endswith("delay") else None for one in parameters if one.default is one.empty}
    return cls(**{**needed, **{one.name: known[one.name] for one in parameters if one.name in known}})
