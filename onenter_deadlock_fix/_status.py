"""What the shim says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "patched", "unconfirmed", "fixed-upstream", "predates", "unrecognised", "off", "failed"]
Mode = Literal["off", "report", "resolve"]
Detection = Literal["off", "report", "resolve", "unrecognised"]


@dataclass(frozen=True)
class Status:
    """What the shim does in this process, and why.

    state:
        ``pending``: ``livekit.agents`` is not imported yet.
        ``patched``: an affected release, and both wrappers are in place.
        ``unconfirmed``: was patched, but other code has replaced a wrapped method since; the reason says by what.
        ``fixed-upstream``: the release or the build has the fix.
        ``predates``: older than 1.2.0, the first release with a public ``AgentTask``.
        ``unrecognised``: an affected version whose code is not what the wrappers are written for.
        ``off``: switched off by ``ONENTER_DEADLOCK_FIX=off`` or ``deactivate()``.
        ``failed``: an error while patching, which was undone.
        The fix is in place in ``patched`` and in no other state.
    livekit_agents: the version of livekit-agents, None as long as it is not imported.
    reason: a sentence for people.
    detection:
        ``off``: no handoff is watched.
        ``report``: one that never ends, or takes its time, is logged.
        ``resolve``: it is let go, too, where that is possible.
        ``unrecognised``: asked for, but it can't be had in this build; the reason says why.
        While the state is ``pending``, it is what was asked for.
    handoffs: how many handoffs the fix has changed in this process.
    """

    state: State
    livekit_agents: str | None
    reason: str
    detection: Detection = "off"
    handoffs: int = 0
