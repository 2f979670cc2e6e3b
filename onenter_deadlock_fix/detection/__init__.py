"""Find deadlocks between handoffs, replies and other waits of an agent, report them, and release some of them.

The model is the wait-for graph of databases (PostgreSQL's ``deadlock.c``): there is a deadlock if and only if the graph
has a cycle of waits that can't complete, or a wait that nothing is left to complete.

A *change* of the session's agent is a handoff, ``session.update_agent()``, a drain, a close, or a wait for an AgentTask
or for ``session.run()``. Changes are what is watched and reported.

*Nodes* are tasks and futures. A speech handle or a run is represented by the future that is done when it is.
*Edges*: X -> Y where X can **complete** only when Y completes. A time-out, a cancellation, an interruption and a
failure *abort* a wait and do not complete it, so the graph has no edges for them.

A node waits for *all* nodes that it awaits (AND: ``gather``, a task group, a drain), or for *any* of them (OR:
``wait(FIRST_COMPLETED)``, ``as_completed``). It is *free*, an AND of no nodes, if it is unknown what completes it: a
socket, a thread, an ``Event``, a queue, an ``AgentTask``, a sleep, a ``wait()`` whose time-out completes it. It is a
*dead end*, an OR of no nodes, if nothing is left to complete it: a reply that was made while scheduling was paused.

The *deadlocked* nodes are the largest set in which no node can complete unless another node of the set does. To find
it, remove the free nodes, then the nodes that this makes free, until nothing changes (``graph``). The rest is reported
when two checks, one tick apart, agree: a task that the event loop is about to wake up looks deadlocked in one of them.

A check runs no user code. It reads tasks, frames and callbacks of asyncio, anyio and livekit-agents, and the positions
of the user's frames. It does not read variables or attributes of user code, and uses no ``isinstance``, ``hasattr`` or
``==`` on the user's objects, which may run user code. A node that can't be read counts as free. docs/detection.md lists
what can't be seen this way: a cycle through it is reported as a slow wait. Two things are assumed: the task in an
``async with`` of a lock holds and releases it, and the tool itself calls ``RunContext.update()``, not a helper task.

The modules (each imports only earlier ones): ``config`` has the settings, ``livekit_internals`` the private API that is
read, ``stack`` the coroutines of a task and why it waits, ``graph`` the search for deadlocks, ``asyncio_edges`` and
``livekit_edges`` the edges, ``labels`` the names of nodes, ``snapshot`` the waits at one moment, ``release`` what
``resolve`` releases, ``report`` the records, ``console`` their format on livekit-agents' console, and ``watch`` the
timer.
"""

from __future__ import annotations

import asyncio

from .._status import Detection
from . import config, watch

OFF = ("off", config.DEFAULT_AFTER)  # a call of ``detect()`` that switches detection off
remarks = watch.remarks


def configure(call: tuple[object, object] | None, *, should_apply: bool) -> tuple[Detection, list[str]]:
    """Apply the mode and seconds of a call of ``detect()``, or the environment's for None.

    Return the mode and warnings. Errors of wrapping propagate. Unless ``should_apply``, only read the settings.
    """
    settings = config.load_settings(call)
    if should_apply and settings.mode == "off":
        watch.uninstall()
    elif should_apply and (mismatch := watch.install(settings)):
        return "unrecognised", [*settings.warnings, f"no detection: in this build {mismatch}"]
    return settings.mode, list(settings.warnings)


def cycle() -> list[str]:
    """Return who waits for whom in a deadlock of the running event loop, one string per wait; [] if there is none."""
    from .snapshot import Snapshot

    return Snapshot(asyncio.all_tasks()).cycle()
