"""What: wrappers around the drains of an activity, and a look at those that take their time.

A hand-over to an ``AgentTask``, ``update_agent()``, ``session.drain()`` and ``session.aclose()`` wait for an activity's
speech tasks. A drain that has waited for some seconds is looked at, again and again until it is over. Nothing runs
while nothing drains, and nothing is kept alive: of a drain there is only a weak reference to its coroutine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import weakref
from collections import deque
from collections.abc import Coroutine
from typing import Any, Literal

from livekit.agents.voice.agent_activity import AgentActivity

from ._wrapping import CoroutineFunction, Wrapping

_SLACK = 0.05  # of ``after``: drains that began within it are looked at in one go

_mode: Literal["off", "report", "resolve"] = "off"
_after = 5.0  # seconds


class _Drain:
    """A drain that is under way, and what has been logged of it."""

    __slots__ = ("began", "coroutine", "due", "logged")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], began: float) -> None:
        self.coroutine = weakref.ref(coroutine)
        self.began = began
        self.due = began + _after
        self.logged: set[object] = set()


class _Watch:
    """The drains of one event loop, in the order in which they are to be looked at."""

    def __init__(self) -> None:
        self._drains: deque[_Drain] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._drains.append(_Drain(coroutine, loop.time()))
        if self._timer is None:
            self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        due = max(self._drains[0].due, loop.time() + _after * _SLACK)
        self._timer = loop.call_at(due, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        try:
            self._look(loop)
        except Exception:  # of ours, or of a log handler of the program's
            self._drains.clear()
            with contextlib.suppress(Exception):
                logging.getLogger(__package__).exception("an error while looking at hand-overs, which are left alone")
        if self._drains:
            self._set_timer(loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the drains whose time has come, and put those that go on at the end."""
        if _mode == "off":
            self._drains.clear()
        now = loop.time()
        going_on = []
        while self._drains and self._drains[0].due <= now:
            drain = self._drains.popleft()
            if drain.coroutine() is not None:
                going_on.append(drain)
        if not going_on:
            return
        # only now: most programs never need them, and each import of livekit.agents would pay for them
        from ._diagnosis import look_at
        from ._graph import Graph

        graph = Graph(loop)
        for drain in going_on:
            coroutine = drain.coroutine()
            if coroutine is not None:
                look_at(graph, coroutine, drain.logged, waited=now - drain.began, resolve=_mode == "resolve")
            drain.due = now + _after
            self._drains.append(drain)


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = weakref.WeakKeyDictionary()


def _watch(drain: Coroutine[Any, Any, Any]) -> None:
    loop = asyncio._get_running_loop()
    if loop is not None:
        watch = _watches.get(loop)
        if watch is None:
            watch = _watches[loop] = _Watch()
        watch.add(drain, loop)


def _pause_scheduling_task(wrapped: CoroutineFunction, on: threading.Event) -> CoroutineFunction:
    """Wrap ``AgentActivity._pause_scheduling_task``: watch it where a hand-over to an AgentTask calls it."""

    def wrapper(instance: AgentActivity, *, blocked_tasks: Any = None, **others: Any) -> Coroutine[Any, Any, Any]:
        bound: CoroutineFunction = wrapped.__get__(instance, type(instance))
        drain = bound(blocked_tasks=blocked_tasks, **others)
        if blocked_tasks is not None and on.is_set():  # the other caller is drain(), which is watched as a whole
            _watch(drain)
        return drain

    return wrapper


def _drain(wrapped: CoroutineFunction, on: threading.Event) -> CoroutineFunction:
    """Wrap ``AgentActivity.drain``: watch it, since later releases wait for on_exit there, and only then pause."""

    def wrapper(instance: AgentActivity, **others: Any) -> Coroutine[Any, Any, Any]:
        bound: CoroutineFunction = wrapped.__get__(instance, type(instance))
        drain = bound(**others)
        if on.is_set():
            _watch(drain)
        return drain

    return wrapper


_wrapping = Wrapping(
    (
        (AgentActivity, "_pause_scheduling_task", _pause_scheduling_task),
        (AgentActivity, "drain", _drain),
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
