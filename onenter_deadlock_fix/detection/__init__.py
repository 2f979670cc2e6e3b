"""Deadlocks between handoffs, replies and whatever else waits in an agent: found, reported, and let go where asked for.

The model is the one that databases have had for decades (PostgreSQL's ``deadlock.c``): there is a deadlock if and only
if the wait-for graph has a cycle of waits that can't complete, or a wait that nothing is left to complete.

*Nodes* are tasks and futures; a speech handle and a run stand in it by the future that is done when they are. *Edges*:
X -> Y where X can **complete** only when Y completes. A time-out, a cancellation, an interruption and a failure *abort*
a wait, they do not complete it, so nobody looks for them: a tool that has ``wait_for(reply, 10)`` on a cycle can only
ever time out. PostgreSQL does not ask whether ``statement_timeout`` will come either.

A node waits for *all* that it awaits (AND: ``gather``, a task group, a drain), or for *any* of it (OR:
``wait(FIRST_COMPLETED)``, ``as_completed``). It is *free* where who completes it is not known: a socket, a thread, an
``Event``, a queue, an ``AgentTask``, a sleep, a ``wait()`` with a time-out, which it completes with: an AND of nothing.
It is a *dead end* where that is known not to exist any more, as for a reply that was made while scheduling was paused:
an OR of nothing.

*Deadlocked* is the largest set of nodes none of which can complete unless another of the set does. To find it, the
free nodes are taken away, then those that these make free, until nothing changes (``graph``). What is left is reported
when two looks, one tick apart, find the same, so that what the event loop is about to do need not be read.

A look touches nothing of the user's. It reads tasks, frames and callbacks of asyncio, anyio and livekit-agents, and
where the user's frames are; not their variables or attributes, and no ``isinstance``, ``hasattr`` or ``==`` on an
object of theirs, which may run their code. One thing that it can't read is one node that is free.

So it can't see who would set an event, fill a queue, release a semaphore or complete a future of the user's; who holds
a lock that was taken by ``await lock.acquire()`` and not by ``async with``; what a thread or another event loop waits
for. A cycle through one of these is no deadlock here, but a wait that takes long. So is ``session.run()``, and an
``AgentTask`` that no turn of the user reaches any more, where only such a turn would end them, or other code. Two
things are taken to be known: a lock is held and released by the task that is in its ``async with``, and
``RunContext.update()`` is called by the tool itself, and not by a helper of it.

``library`` has what is relied on in livekit-agents. ``watch`` says which changes are under way, ``stack`` what a task
is suspended in, ``locks`` who holds a lock, ``asyncio_edges`` and ``livekit_edges`` who completes what, ``graph`` who
is deadlocked, ``check`` what that means for a change and what it can let go, ``describe`` who is who, and ``report``
logs it.
"""

from __future__ import annotations


def cycle() -> list[str]:
    """Return who waits for whom in a deadlock of the running event loop, one wait a line; [] where there is none."""
    import asyncio

    from .snapshot import Snapshot

    return Snapshot(asyncio.all_tasks()).cycle()
