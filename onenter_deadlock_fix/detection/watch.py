"""Watch the changes of the agent that are under way: wrappers that start a timer, and the timer, which checks them.

While no change is under way, no timer runs, and no object is kept alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import logging
import sys
from collections.abc import Hashable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from enum import Enum
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable
from weakref import WeakSet

from .._guard import first_mismatch
from .config import LOGGER, Settings
from .console import HideExtraFields
from .livekit_internals import CHANGE_FUNCTIONS, FINGERPRINT, REPORTED_IF_SLOW, VOICE
from .stack import Task, stack

if TYPE_CHECKING:
    from .release import Release
    from .snapshot import Deadlock, Snapshot

_WATCH = "__onenter_deadlock_fix_watch"  # an attribute of the event loop: its watch, while the timer is set
_CHANGE_NAMES = {function.rpartition(".")[2] for function in CHANGE_FUNCTIONS}
_WRAPPED = (  # each change begins with one of these methods
    ("agent_activity", "AgentActivity", "pause"),
    ("agent_activity", "AgentActivity", "drain"),
    ("agent_session", "AgentSession", "_aclose_impl"),
    ("run_result", "RunResult", "__await__"),
)

_settings: Settings | None = None
_unwatched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()  # event loops in which no timer can be set
_logger = logging.getLogger(LOGGER)
_hide_extra_fields = HideExtraFields()


class _State(Enum):
    """What the checks have found about a change."""

    NOTHING_FOUND = "no check has found anything wrong"
    IDLE = "the last check has found that neither a model nor user code is at work for session.run()"
    REPORTED_FOR_NOW = "it has been reported with a temporary reason"
    REPORTED = "it has been reported, or a drain that it waits for has released speech tasks"


@dataclass(eq=False)
class _Change:
    """A change that is under way. Times are by the event loop's clock."""

    task: Task
    since: float  # when a tick first found it suspended where it is now
    next_check: float = 0.0
    state: _State = _State.NOTHING_FOUND
    deadlocks: list[frozenset[Any]] = field(default_factory=list)  # the nodes of those reported for this change


class _Watch:
    """The changes that are under way in an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changes: dict[Hashable, _Change] = {}
        self._suspected: set[frozenset[Any]] = set()  # the deadlocks that the last check found
        self._releases: list[Release] = []
        self._errors: set[int] = set()  # the types of those that have been logged

    def tick_later(self, settings: Settings) -> None:
        # In an empty context, because the current one would keep the activity alive.
        Context().run(self._loop.call_later, min(settings.after / 10, 0.25), self._tick)
        setattr(self._loop, _WATCH, self)

    def _tick(self) -> None:
        settings = _settings
        try:
            setattr(self._loop, _WATCH, None)
            if settings is None:
                return
            tasks, now = asyncio.all_tasks(self._loop), self._loop.time()
            self._changes = {key: self._changes.get(key) or _Change(task, now) for key, task in _under_way(tasks)}
            if self._changes:
                self.tick_later(settings)
            self._releases = [
                release for release in self._releases if not all(handle.done() for handle in release.handles)
            ]
            for release in self._releases:
                release.interrupt_dropped()
            # If one change is due, check all old ones: a deadlock is reported once, for the most informative change.
            old = [change for change in self._changes.values() if change.since + settings.after <= now]
            if any(change.next_check <= now for change in old):
                self._check(tasks, old, now, settings)
        except Exception as error:  # ours, or raised by a log handler of the program
            if id(type(error)) not in self._errors:
                self._errors.add(id(type(error)))
                with contextlib.suppress(Exception):  # raised by a log handler of the program
                    _logger.exception("an error while checking the changes of an agent, which are left alone")

    def _check(self, tasks: set[Task], changes: list[_Change], now: float, settings: Settings) -> None:
        """Check changes that have waited long enough; report deadlocks that two checks, one tick apart, agree on."""
        # Imported only here: most programs never need it, and it would slow down the import of livekit.agents.
        from .snapshot import Snapshot

        snapshot = Snapshot(tasks, [change.task for change in changes])
        deadlocks = [(deadlock, change) for change in changes if (deadlock := snapshot.deadlock(change.task))]
        deadlocks.sort(key=lambda pair: pair[0].rank)
        suspected_before, self._suspected = self._suspected, {deadlock.nodes for deadlock, _ in deadlocks}
        first_seen = set()
        handled: set[frozenset[Any]] = set()
        for deadlock, change in deadlocks:
            if deadlock.nodes not in suspected_before:
                first_seen.add(change)  # the next tick checks whether it still is a deadlock
            elif deadlock.nodes not in handled:
                handled.add(deadlock.nodes)
                if self._handle(snapshot, deadlock, change, settings):
                    return  # the next tick re-evaluates after a release
            # It is reported as part of that deadlock, so it is not reported as slow, too.
            if deadlock.is_on_cycle and any(deadlock.nodes <= reported for reported in self._reported()):
                change.state = _State.REPORTED
        for change in changes:
            if change not in first_seen and change.next_check <= now:
                change.next_check = now + settings.after
                _report_slow_wait(snapshot, change, now)

    def _reported(self) -> list[frozenset[Any]]:
        return [nodes for change in self._changes.values() for nodes in change.deadlocks]

    def _handle(self, snapshot: Snapshot, deadlock: Deadlock, change: _Change, settings: Settings) -> bool:
        """Report a deadlock, unless that was done, and apply its releases. Return whether any was applied."""
        from . import report
        from .release import find_releases

        task, nodes, resolves = change.task, deadlock.nodes, settings.mode == "resolve"
        # Nodes may have joined or left a reported deadlock since.
        is_new = not any(nodes <= reported or reported <= nodes for reported in self._reported())
        if not is_new and not resolves:
            return False
        records = snapshot.explain(task)  # first, because it determines which names are ambiguous
        releases = find_releases(snapshot, task)
        released = releases if resolves else []
        for release in released:
            release.apply()
        self._releases += released
        try:
            if is_new and _logger.isEnabledFor(logging.ERROR):
                # Set before logging: if a log handler of the program raises, other handlers may have got the record.
                change.deadlocks.append(nodes)
                change.state = _State.REPORTED
                name = snapshot.labels.display_name(deadlock.change_label)
                report.deadlock(name, records, releases, task, is_on_cycle=deadlock.is_on_cycle, mode=settings.mode)
        finally:
            for release in released:
                change.state = _State.REPORTED
                report.released(release, task)
        return bool(released)


def _report_slow_wait(snapshot: Snapshot, change: _Change, now: float) -> None:
    """Report a slow change once, and once more after a temporary reason has passed."""
    from . import report
    from .snapshot import TEMPORARY

    if change.state is _State.REPORTED:
        return
    records = snapshot.explain_slow_wait(change.task)
    is_temporary = any(record.reason in TEMPORARY for record in records)
    if change.state is _State.REPORTED_FOR_NOW and (is_temporary or not records):
        return
    if not records:
        change.state = _State.NOTHING_FOUND
    elif snapshot.is_run(change.task) and change.state is _State.NOTHING_FOUND:
        change.state = _State.IDLE  # between two turns of a model, nobody is at work for a moment
    elif _logger.isEnabledFor(logging.WARNING):
        change.state = _State.REPORTED_FOR_NOW if is_temporary else _State.REPORTED
        name = snapshot.labels.display_name(snapshot.labels[change.task].change_label)
        report.slow_wait(name, records, now - change.since, change.task)


def _under_way(tasks: set[Task]) -> Iterator[tuple[Hashable, Task]]:
    """Yield the tasks that are in the middle of a change, each with a key: the change, and its position in the code."""
    for task in tasks:
        # Compare the bare name first, which is cheaper: this runs for every task.
        named = [frame for frame in stack(task) if frame.frame.f_code.co_name in _CHANGE_NAMES]
        watched = [frame for frame in named if frame.function in CHANGE_FUNCTIONS]
        if watched:
            outermost = next((frame for frame in watched if frame.function in REPORTED_IF_SLOW), watched[0])
            yield (outermost.awaitable, *(frame.frame.f_lasti for frame in watched)), task


def _begin() -> None:
    """Start the timer of the running event loop, if it does not run yet; raise nothing."""
    loop, settings = asyncio._get_running_loop(), _settings
    if loop is not None and getattr(loop, _WATCH, None) is None and settings is not None and loop not in _unwatched:
        try:
            _Watch(loop).tick_later(settings)
        except Exception:  # raised by an unusual event loop
            with contextlib.suppress(TypeError):  # it can't be weakly referenced
                _unwatched.add(loop)
            with contextlib.suppress(Exception):  # raised by a log handler of the program
                _logger.exception("changes of an agent can't be watched in this event loop")


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that starts the timer and calls ``function``. A wrapper of wrapt would cost twice as much."""

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        _begin()
        return function(*args, **kwargs)

    return method


def _is_ours(function: Any) -> bool:
    return type(function) is FunctionType and function.__globals__ is globals()


def install(settings: Settings) -> str | None:
    """Watch the changes of agents, including those that are under way in the running event loop.

    Return why this build can't be watched, or None. Errors of wrapping propagate.
    """
    global _settings
    mismatch = first_mismatch(FINGERPRINT)
    if mismatch:
        uninstall()
        return mismatch
    try:
        for module, owner, name in _WRAPPED:
            cls = getattr(importlib.import_module(VOICE + module), owner)
            if not _is_ours(vars(cls)[name]):
                setattr(cls, name, _watched(vars(cls)[name]))
    except BaseException:
        uninstall()
        raise
    _settings = settings
    if _hide_extra_fields not in _logger.handlers:
        _logger.handlers.insert(0, _hide_extra_fields)
    _begin()
    return None


def uninstall() -> None:
    """Stop checking, and remove the wrappers; one that other code has wrapped in turn only forwards calls."""
    global _settings
    _settings = None
    _logger.removeHandler(_hide_extra_fields)
    for module, owner, name in _WRAPPED:
        cls = getattr(sys.modules.get(VOICE + module), owner, None)
        if cls and _is_ours(vars(cls).get(name)):
            setattr(cls, name, vars(cls)[name].__wrapped__)


def remarks() -> list[str]:
    """Return which event loops can't be watched, if there are any."""
    return [f"changes can't be watched in {len(_unwatched)} event loop(s) of this process"] if _unwatched else []
