"""The status that the API returns, and its types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "patched", "unconfirmed", "fixed-upstream", "predates", "unrecognised", "off", "failed"]
Mode = Literal["off", "report", "resolve"]
Detection = Literal["off", "report", "resolve", "unrecognised"]


@dataclass(frozen=True)
class Status:
    """What the shim does in this process, and why.

    state: the fix is installed in ``patched`` and in no other state.
        ``pending``: ``livekit.agents`` is not imported yet, or is about to be examined.
        ``patched``: an affected release, and the wrappers that fix it are installed.
        ``unconfirmed``: was patched, but other code has replaced a wrapped method since, see the reason.
        ``fixed-upstream``: the release or the build has the fix.
        ``predates``: older than 1.2.0, the first release with a public ``AgentTask``.
        ``unrecognised``: an affected release whose code is not what the wrappers were written for, or no valid version.
        ``off``: switched off by ``ONENTER_DEADLOCK_FIX=off`` or ``deactivate()``.
        ``failed``: an error while patching, so nothing is patched.
    livekit_agents: the version of livekit-agents, None while it is not imported.
    reason: the explanation, for people.
    detection: the mode of detection; ``unrecognised`` if it was requested, but this build's code is not what it reads.
        While the state is ``pending``, the requested mode.
    handoffs: how many handoffs the fix has changed in this process.
    """

    state: State
    livekit_agents: str | None
    reason: str
    detection: Detection = "off"
    handoffs: int = 0
