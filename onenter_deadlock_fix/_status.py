"""What the shim says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "patched", "fixed-upstream", "predates", "unrecognised", "off", "failed"]


@dataclass(frozen=True)
class Status:
    """What the shim does in this process, and why.

    state:
        ``pending``: ``livekit.agents`` is not imported yet.
        ``patched``: an affected release, and both wrappers are in place.
        ``fixed-upstream``: the release or the build has the fix.
        ``predates``: older than 1.2.0, the first release with a public ``AgentTask``.
        ``unrecognised``: an affected version whose code has another shape.
        ``off``: switched off by ``ONENTER_DEADLOCK_FIX=off`` or ``deactivate()``.
        ``failed``: an error while patching, which was undone.
        The library is wrapped in ``patched`` and untouched in every other state.
    livekit_agents: the version of livekit-agents, None as long as it is not imported.
    reason: a sentence for people.
    """

    state: State
    livekit_agents: str | None
    reason: str
