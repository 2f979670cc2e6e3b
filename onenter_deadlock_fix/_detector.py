"""What: wrappers around the drains of an activity, and a look at those that take their time.

A hand-over to an ``AgentTask``, ``update_agent()``, ``session.drain()`` and ``session.aclose()`` pause, drain or close
an activity, and wait for its speech tasks. What has waited for some seconds is looked at, again and again until it is
over. Nothing runs while nothing drains, and nothing is kept alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from asyncio import _get_running_loop
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

from livekit.agents.voice.agent_activity import AgentActivity

from ._frames import drain_of
from ._wrapping import CoroutineFunction, Wrapping

_WATCHED = "__onenter_deadlock_fix_watched"  # an attribute of the event loop: its drains, while a timer looks for them

_mode: Literal["off", "report", "resolve"] = "off"
_after = 5.0  # seconds


class _Seen(NamedTuple):
    """What is known of a drain: since when, when it was looked at, by the loop's clock, and what was logged of it."""

    since: float
    looked_at: float
    logged: set[object]


_Watched = WeakKeyDictionary[Coroutine[Any, Any, Any], _Seen]


def _watch(wrapped: CoroutineFunction, on: threading.Event) -> CoroutineFunction:
    """Wrap a drain: see to it that the event loop's timer ticks.

    A hand-over pays for no more than that: most drains are over before the timer ticks, which finds the others.
    """

    def wrapper(instance: AgentActivity, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        loop = _get_running_loop()
        if loop and getattr(loop, _WATCHED, None) is None and on.is_set():
            _tick_later(loop, WeakKeyDictionary())
        drain: Coroutine[Any, Any, Any] = wrapped.__get__(instance, AgentActivity)(*args, **kwargs)
        return drain

    return wrapper


def _tick_later(loop: asyncio.AbstractEventLoop, watched: _Watched) -> None:
    # More often than anything is looked at, since asyncio keeps the timers of others that are cancelled, with all that
    # they know, behind one that is due. In an empty context, since that of a drain has its activity in it.
    loop.call_later(min(_after / 20, 0.25), _tick, loop, context=Context())
    setattr(loop, _WATCHED, watched)


def _tick(loop: asyncio.AbstractEventLoop) -> None:
    watched: _Watched = getattr(loop, _WATCHED)
    setattr(loop, _WATCHED, None)
    try:
        watched = _look(loop, watched) if _mode != "off" else WeakKeyDictionary()
        if watched:
            _tick_later(loop, watched)
    except Exception:  # of ours, or of a log handler of the program's
        with contextlib.suppress(Exception):
            logging.getLogger(__package__).exception("an error while looking at hand-overs, which are left alone")


def _look(loop: asyncio.AbstractEventLoop, watched: _Watched) -> _Watched:
    """Return the drains that are under way, and look at those whose time has come."""
    now = loop.time()
    drains = {drain: task for task in asyncio.all_tasks(loop) if (drain := drain_of(task)) is not None}
    under_way: _Watched = WeakKeyDictionary({drain: watched.get(drain) or _Seen(now, now, set()) for drain in drains})
    due = {drain: seen for drain, seen in under_way.items() if seen.looked_at + _after <= now}
    if due:
        # only now: most programs never need them, and each import of livekit.agents would pay for them
        from ._diagnosis import look_at
        from ._graph import Graph

        graph = Graph(loop)
        for drain, seen in due.items():
            look_at(graph, drains[drain], seen.logged, waited=now - seen.since, resolve=_mode == "resolve")
            under_way[drain] = seen._replace(looked_at=now)
    return under_way


# All others come from these; each one more is 1 % of a hand-over. aclose() comes behind drain(), but for one way that
# matters from the first release on whose tools have an executor, which aclose() waits for.
_WRAPPED = ("pause", "drain", "aclose") if "livekit.agents.voice.tool_executor" in sys.modules else ("pause", "drain")
_wrapping = Wrapping([(AgentActivity, name, _watch) for name in _WRAPPED])


def put_on(mode: Literal["report", "resolve"], *, after: float) -> None:
    """Watch the drains, and look at those that wait for ``after`` seconds. Raises what wrapping raises."""
    global _mode, _after
    _mode, _after = mode, after
    _wrapping.put_on()


def take_off() -> None:
    """Put the library's functions back, and look at no drain any more."""
    global _mode
    _mode = "off"
    _wrapping.take_off()
