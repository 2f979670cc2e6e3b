"""Find deadlocks between handoffs, replies and whatever else waits in an agent, report them, and release what can be.

The model is the one that databases have had for decades (PostgreSQL's ``deadlock.c``): there is a deadlock if and only
if the wait-for graph has a cycle of waits that can't complete, or a wait that nothing is left to complete.

*Nodes* are tasks and futures. A speech handle and a run stand in the graph by the future that is done when they are.
*Edges*: X -> Y where X can **complete** only when Y completes. A time-out, a cancellation, an interruption and a
failure *abort* a wait and do not complete it, so the graph has no edges for them: a tool with ``wait_for(reply, 10)``
on a cycle can only time out. PostgreSQL does not consider whether ``statement_timeout`` will strike either.

A node waits for *all* that it awaits (AND: ``gather``, a task group, a drain), or for *any* of it (OR:
``wait(FIRST_COMPLETED)``, ``as_completed``). It is *free* where it is not known what completes it: a socket, a thread,
an ``Event``, a queue, an ``AgentTask``, a sleep, a ``wait()`` with a time-out, which completes with that. That is an
AND of nothing. It is a *dead end* where nothing is left to complete it, as for a reply that was made while scheduling
was paused. That is an OR of nothing.

*Deadlocked* is the largest set of nodes none of which can complete unless another of the set does. To find it, remove
the free nodes, then those that become free by that, until nothing changes (``graph``). What is left is reported when
two checks, one tick apart, find the same. So nothing has to be known of what the event loop is about to do.

A check touches nothing of the user's. It reads tasks, frames and callbacks of asyncio, anyio and livekit-agents, and
where the user's frames are. It does not read their variables or attributes, and uses no ``isinstance``, ``hasattr`` or
``==`` on their objects, which may run their code. One thing that can't be read makes one node free.

So a check can't see what would set an event, fill a queue, release a semaphore or complete a future of the user's; who
holds a lock that was taken by ``await lock.acquire()`` and not by ``async with``; what a thread or another event loop
waits for. A cycle through one of these is no deadlock here, but a wait that takes long. So is ``session.run()``, and
an ``AgentTask`` that no turn of the user reaches any more, where only such a turn, or other code, would end them. Two
assumptions are made: a lock is held and released by the task that is in its ``async with``, and
``RunContext.update()`` is called by the tool itself, and not by a helper of it.

The modules, of which each imports only those above it: ``config`` has the settings, ``livekit_internals`` the private
API that is read, ``stack`` what a task is suspended in, ``graph`` the search for deadlocks, ``locks`` who holds a
lock, ``asyncio_edges`` and ``livekit_edges`` what completes what, ``places`` where a task waits and why, ``labels``
what the nodes are called, ``snapshot`` the state of the changes at one moment, ``release`` what a drain can release,
``report`` the records, ``console`` how livekit-agents prints them, and ``watch`` the timer.
"""

from __future__ import annotations

import asyncio

from .._status import Detection
from . import config, watch

OFF = ("off", config.AFTER)  # a call of ``detect()`` that switches detection off


def configure(call: tuple[object, object] | None, *, library_loaded: bool) -> tuple[Detection, list[str]]:
    """Apply the mode and seconds of a call of ``detect()``, or the environment's for None.

    Return the mode, and what to warn of. Raise what wrapping raises. While livekit-agents is not imported, nothing is
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
    """Return what limits detection in this process, a sentence each."""
    return watch.remarks()


def cycle() -> list[str]:
    """Return who waits for whom in a deadlock of the running event loop, one wait a line; [] where there is none."""
    from .snapshot import Snapshot

    return Snapshot(asyncio.all_tasks()).cycle()
