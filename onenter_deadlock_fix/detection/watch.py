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
from asyncio import _get_running_loop
from collections.abc import Coroutine, Hashable
from contextvars import Context
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

from livekit.agents.voice.agent_activity import AgentActivity

from .._wrapper import CoroutineFunction, Switch, Wrappers
from .config import LOGGER
from .stack import drain_of

_WATCHED = "__onenter_deadlock_fix_watched"  # an attribute of the event loop: its drains, while a timer looks for them

_mode: Literal["off", "report", "resolve"] = "off"
_after = 5.0  # seconds

Drain = Coroutine[Any, Any, Any]


class _Seen(NamedTuple):
    """Since when a drain is known, and when it was looked at, by the loop's clock."""

    since: float
    looked_at: float


class _Watched:
    """What is known of the drains of an event loop while there are any, and what was logged of them."""

    def __init__(self) -> None:
        self.seen: WeakKeyDictionary[Drain, _Seen] = WeakKeyDictionary()
        self.logged: set[Hashable] = set()


def _watch(wrapped: CoroutineFunction, switch: Switch) -> CoroutineFunction:
    """Wrap a drain: see to it that the event loop's timer ticks.

    A hand-over pays for no more than that: most drains are over before the timer ticks, which finds the others.
    """

    def wrapper(instance: AgentActivity, *args: Any, **kwargs: Any) -> Drain:
        loop = _get_running_loop()
        if loop and getattr(loop, _WATCHED, None) is None and switch.on and not _begin(loop):
            switch.on = False
        drain: Drain = wrapped.__get__(instance, AgentActivity)(*args, **kwargs)
        return drain

    return wrapper


def _begin(loop: asyncio.AbstractEventLoop) -> bool:
    """Have the timer tick, and say whether it does; raise nothing."""
    try:
        _tick_later(loop, _Watched())
    except Exception:  # of an event loop that is not like asyncio's
        _log_error("hand-overs can't be watched in this event loop")
        return False
    return True


def _tick_later(loop: asyncio.AbstractEventLoop, watched: _Watched) -> None:
    # More often than anything is looked at, since asyncio keeps the timers of others that are cancelled, with all that
    # they know, behind one that is due. In an empty context, since that of a drain has its activity in it.
    loop.call_later(min(_after / 20, 0.25), _tick, loop, context=Context())
    setattr(loop, _WATCHED, watched)


def _tick(loop: asyncio.AbstractEventLoop) -> None:
    watched: _Watched = getattr(loop, _WATCHED)
    setattr(loop, _WATCHED, None)
    if _mode == "off":
        return
    try:
        drains = _drains(loop)
        if drains:
            _tick_later(loop, watched)
            _look(loop, watched, drains)
    except Exception as error:  # of ours, or of a log handler of the program's
        if repr(error) not in watched.logged:
            watched.logged.add(repr(error))
            _log_error("an error while looking at hand-overs, which are left alone")


def _drains(loop: asyncio.AbstractEventLoop) -> dict[Drain, asyncio.Task[Any]]:
    return {drain: task for task in asyncio.all_tasks(loop) if (drain := drain_of(task)) is not None}


def _look(loop: asyncio.AbstractEventLoop, watched: _Watched, drains: dict[Drain, asyncio.Task[Any]]) -> None:
    """Look at those of the drains whose time has come."""
    now = loop.time()
    seen = {drain: watched.seen.setdefault(drain, _Seen(now, now)) for drain in drains}
    due = [drain for drain in drains if seen[drain].looked_at + _after <= now]
    if not due:
        return
    # only now: most programs never need them, and each import of livekit.agents would pay for them
    from .check import look_at
    from .graph import Graph

    watched.seen.update({drain: seen[drain]._replace(looked_at=now) for drain in due})
    graph = Graph(loop)
    for drain in due:
        look_at(graph, drains[drain], watched.logged, waited=now - seen[drain].since, resolve=_mode == "resolve")


def _log_error(what: str) -> None:
    with contextlib.suppress(Exception):  # of a log handler of the program's
        logging.getLogger(LOGGER).exception(what)


# All others come from these; each one more is 1 % of a hand-over. aclose() comes behind drain(), but for one way that
# matters from the first release on whose tools have an executor, which aclose() waits for.
_WRAPPED = ("pause", "drain", "aclose") if "livekit.agents.voice.tool_executor" in sys.modules else ("pause", "drain")
_wrappers = Wrappers()


def put_on(mode: Literal["report", "resolve"], *, after: float) -> None:
    """Watch the drains, and look at those that wait for ``after`` seconds. Raises what wrapping raises.

    Those that are under way already are watched as well, if they are in the event loop that runs in this thread.
    """
    global _mode, _after
    _mode, _after = mode, after
    _wrappers.install([(AgentActivity, name, _watch) for name in _WRAPPED])
    loop = _get_running_loop()
    if loop and getattr(loop, _WATCHED, None) is None:
        _begin(loop)


def take_off() -> None:
    """Put the library's functions back, and look at no drain any more."""
    global _mode
    _mode = "off"
    _wrappers.uninstall()
