"""Handoffs that never end, or take their time: whom they wait for. Imported by the first request for it."""

from __future__ import annotations

import sys

from .config import Request as Request
from .config import requested as requested


def install(request: Request) -> str:
    """Watch the drains as requested. Return an empty string, or why that can't be; raise what wrapping raises."""
    from . import fingerprint

    difference = fingerprint.difference(sys.modules["livekit.agents"])
    if difference or request.mode == "off":
        uninstall()
        return f"in this build {difference}" if difference else ""
    from . import watch

    watch.put_on(request.mode, after=request.after)
    return ""


def uninstall() -> None:
    """Put the library's functions back, and look at no drain any more."""
    watch = sys.modules.get(f"{__name__}.watch")
    if watch is not None:
        watch.take_off()


def remarks() -> str:
    """Return what is to be said of detection right now, or an empty string."""
    return ""


def cycle() -> list[str]:
    """Return the waits of a deadlock in the running event loop, in words; [] if there is none."""
    import asyncio

    from .describe import deadlock
    from .graph import Graph

    return [waiter.wait for waiter in deadlock(Graph(asyncio.get_running_loop()))]
