"""The two methods of livekit-agents that the fix wraps, and the modules that tests purge."""

from __future__ import annotations

import sys
from typing import Any

WRAPPED_ONCE, THE_LIBRARYS_OWN = [1, 1], [0, 0]
AWAIT_IMPL, UPDATE_ACTIVITY = "_AgentTask__await_impl", "_update_activity"


def classes() -> list[Any]:
    """Return AgentTask and AgentSession as they are imported now."""
    voice = "livekit.agents.voice"
    return [sys.modules[f"{voice}.agent"].AgentTask, sys.modules[f"{voice}.agent_session"].AgentSession]


def methods() -> list[Any]:
    """Return what the classes have now as ``AgentTask.__await_impl`` and ``AgentSession._update_activity``."""
    return [vars(owner)[name] for owner, name in zip(classes(), (AWAIT_IMPL, UPDATE_ACTIVITY))]


def wrappers() -> list[int]:
    """Return how many wrappers each of the two methods has."""
    return [_count(method) for method in methods()]


def _count(method: Any) -> int:
    return 1 + _count(method.__wrapped__) if hasattr(method, "__wrapped__") else 0


def purge(*packages: str) -> None:
    """Remove packages and what is in them from ``sys.modules``, as test runners do to import them anew."""
    prefixes = tuple(f"{package}." for package in packages)
    for name in [name for name in sys.modules if f"{name}.".startswith(prefixes)]:
        del sys.modules[name]


def purge_library() -> None:
    """Purge livekit-agents, with prometheus_client, in which it can register its metrics only once."""
    purge("livekit", "prometheus_client")
