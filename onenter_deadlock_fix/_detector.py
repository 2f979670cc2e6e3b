"""What: wrappers around the drains of an activity, and a look at those that take their time.

A hand-over to an ``AgentTask``, ``update_agent()``, ``session.drain()`` and ``session.aclose()`` pause, drain or close
an activity, and wait for its speech tasks. What has waited for some seconds is looked at, again and again until it is
over. Nothing runs while nothing drains, and nothing is kept alive: of a drain there is only a weak reference to its
coroutine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Literal, NamedTuple
from weakref import ref

from livekit.agents.voice.agent_activity import AgentActivity

from ._wrapping import CoroutineFunction, Wrapping

_WATCH = "__onenter_deadlock_fix_watch"  # an attribute of the event loop

_mode: Literal["off", "report", "resolve"] = "off"
_after = 5.0  # seconds


class _Slow(NamedTuple):
    """What is kept of a drain that has been looked at: when it began, and what has been logged of it."""

    began: float
    logged: set[object]


class _Watch:
    """The drains of one event loop, and the timer that ticks while there are any.

    One timer, and not one for each drain: most drains are over in no time. It ticks more often than anything is looked
    at, since asyncio keeps the timers of others that are cancelled, with all that they know, behind one that is due.
    """

    def __init__(self) -> None:
        # since when each has not been looked at, in the loop's time: the first one is the next to be looked at
        self.drains: deque[tuple[float, ref[Coroutine[Any, Any, Any]], _Slow | None]] = deque()
        self.is_ticking = False
        self._context = Context()  # an empty one; that of the drain has its activity in it, which the timer would keep

    def tick_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_ticking = True
        loop.call_later(min(_after / 20, 0.25), self._tick, loop, context=self._context)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_ticking = False
        try:
            self._look(loop)
        except Exception:  # of ours, or of a log handler of the program's
            self.drains.clear()
            with contextlib.suppress(Exception):
                logging.getLogger(__package__).exception("an error while looking at hand-overs, which are left alone")
        if self.drains:
            self.tick_later(loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the drains that are over; look at those whose time has come, and put them at the end."""
        if _mode == "off":
            self.drains.clear()
        now = loop.time()
        due = []
        while self.drains:
            since, drain, slow = self.drains[0]
            if drain() is not None:
                if since + _after > now:
                    break
                due.append((drain, slow or _Slow(since, set())))
            self.drains.popleft()
        if not due:
            return
        # only now: most programs never need them, and each import of livekit.agents would pay for them
        from ._diagnosis import look_at
        from ._graph import Graph

        graph = Graph(loop)
        for drain, slow in due:
            coroutine = drain()
            if coroutine is not None:
                look_at(graph, coroutine, slow.logged, waited=now - slow.began, resolve=_mode == "resolve")
                self.drains.append((now, drain, slow))


def _watch(drain: Coroutine[Any, Any, Any]) -> None:
    loop = _get_running_loop()
    if loop is None:
        return
    watch: _Watch | None = getattr(loop, _WATCH, None)
    if watch is None:
        watch = _Watch()
        setattr(loop, _WATCH, watch)
    watch.drains.append((loop.time(), ref(drain), None))
    if not watch.is_ticking:
        watch.tick_later(loop)


# The functions' own parameters are passed on as they are, with those that only a wrapper of somebody else's knows.


def _pause_scheduling_task(wrapped: CoroutineFunction, on: threading.Event) -> CoroutineFunction:
    """Wrap ``AgentActivity._pause_scheduling_task``: watch it where a hand-over to an AgentTask calls it."""

    def wrapper(instance: AgentActivity, **arguments: Any) -> Coroutine[Any, Any, Any]:
        drain: Coroutine[Any, Any, Any] = wrapped.__get__(instance, AgentActivity)(**arguments)
        if arguments and on.is_set():  # the other caller is drain(), which names none and is watched as a whole
            _watch(drain)
        return drain

    return wrapper


def _drain(wrapped: CoroutineFunction, on: threading.Event) -> CoroutineFunction:
    """Wrap ``AgentActivity.drain`` or ``aclose``: watch it.

    Most releases wait for on_exit in ``drain()`` before they pause, and later ones for tools in ``aclose()``.
    """

    def wrapper(instance: AgentActivity, **arguments: Any) -> Coroutine[Any, Any, Any]:
        drain: Coroutine[Any, Any, Any] = wrapped.__get__(instance, AgentActivity)(**arguments)
        if on.is_set():
            _watch(drain)
        return drain

    return wrapper


_wrapping = Wrapping(
    (
        (AgentActivity, "_pause_scheduling_task", _pause_scheduling_task),
        (AgentActivity, "drain", _drain),
        (AgentActivity, "aclose", _drain),
    )
)


def put_on(mode: Literal["report", "resolve"], *, after: float) -> None:
    """Watch the drains that begin from now on; ``after`` is in seconds. Raises what wrapping raises."""
    global _mode, _after
    _mode, _after = mode, after
    _wrapping.put_on()


def take_off() -> None:
    """Put the library's functions back, and look at no drain any more."""
    global _mode
    _mode = "off"
    _wrapping.take_off()
