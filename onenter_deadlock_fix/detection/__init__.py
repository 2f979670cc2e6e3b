"""Find deadlocks between handoffs, replies and other waits of an agent, report them, and release some of them.

The model is the wait-for graph of databases (PostgreSQL's ``deadlock.c``): there is a deadlock if and only if the graph
has a cycle of waits that can't complete, or a wait that nothing is left to complete.

*Nodes* are tasks and futures. A speech handle or a run is represented by the future that is done when it is.
*Edges*: X -> Y where X can **complete** only when Y completes. A time-out, a cancellation, an interruption and a
failure *abort* a wait and do not complete it, so the graph has no edges for them: a tool with ``wait_for(reply, 10)``
on a cycle can only time out. PostgreSQL does not consider whether ``statement_timeout`` will strike either.

A node waits for *all* nodes that it awaits (AND: ``gather``, a task group, a drain), or for *any* of them (OR:
``wait(FIRST_COMPLETED)``, ``as_completed``). It is *free* if it is unknown what completes it: a socket, a thread, an
``Event``, a queue, an ``AgentTask``, a sleep, a ``wait()`` whose time-out completes it. A free node is an AND of no
nodes. It is a *dead end* if nothing is left to complete it: for example, a reply that was created while scheduling was
paused. A dead end is an OR of no nodes.

The *deadlocked* nodes are the largest set in which no node can complete unless another node of the set does. To find
it, remove the free nodes, then the nodes that this makes free, until nothing changes (``graph``). The rest is reported
when two checks, one tick apart, agree. So the callbacks that the event loop is about to run need not be known.

A check runs no user code. It reads tasks, frames and callbacks of asyncio, anyio and livekit-agents, and the positions
of the user's frames. It does not read variables or attributes of user code, and uses no ``isinstance``, ``hasattr`` or
``==`` on the user's objects, which may run user code. A node that can't be read counts as free.

So a check can't see what would set an event, fill a queue, release a semaphore or complete a future of the user's; who
holds a lock that was taken by ``await lock.acquire()`` and not by ``async with``; what a thread or another event loop
waits for. A cycle through one of these is reported as a slow wait, not as a deadlock. So are a ``session.run()`` and an
``AgentTask`` that only a turn of the user, or other code, could end, if no turn can reach them any more. Detection
assumes that the task in an ``async with`` of a lock holds and releases that lock, and that the tool itself calls
``RunContext.update()``, not a helper task.

The modules (each imports only earlier ones): ``config`` has the settings, ``livekit_internals`` the private API that is
read, ``stack`` the coroutines of a task and why it waits, ``graph`` the search for deadlocks, ``locks`` the holders of
locks, ``asyncio_edges`` and ``livekit_edges`` the edges, ``labels`` the names of nodes, ``snapshot`` the waits at one
moment, ``release`` what ``resolve`` releases, ``report`` the records, ``console`` their format on livekit-agents'
console, and ``watch`` the timer. A *change* is a handoff, a close, a drain or a run.
"""

from __future__ import annotations

import asyncio

from .._status import Detection
from . import config, watch

OFF = ("off", config.AFTER)  # a call of ``detect()`` that switches detection off


def configure(call: tuple[object, object] | None, *, library_loaded: bool) -> tuple[Detection, list[str]]:
    """Apply the mode and seconds of a call of ``detect()``, or the environment's for None.

    Return the mode and warnings. Errors of wrapping propagate. While livekit-agents is not imported, nothing is
    applied.
    """
    settings = config.load_settings(call)
    warnings = list(settings.warnings)
    if not library_loaded:
        return settings.mode, warnings
    if settings.mode == "off":
        watch.uninstall()
    else:
        why_not = watch.install(settings)
        if why_not:
            return "unrecognised", [*warnings, f"no detection: {why_not}"]
    return settings.mode, warnings


def remarks() -> list[str]:
    """Return the limits of detection in this process, one sentence each."""
    return watch.remarks()


def cycle() -> list[str]:
    """Return who waits for whom in a deadlock of the running event loop, one string per wait; [] if there is none."""
    from .snapshot import Snapshot

    return Snapshot(asyncio.all_tasks()).cycle()
