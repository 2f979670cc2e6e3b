"""Which changes of the agent are under way: wrappers that set a timer, and the timer, which looks at what takes long.

Nothing runs while nothing is under way, and nothing is kept alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from asyncio import _get_running_loop
from collections.abc import Hashable, Iterator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Callable
from weakref import WeakSet

from .._guard import first_mismatch
from .._wrapping import Wrappers
from .config import LOGGER, Request
from .library import CHANGES, FINGERPRINT, VOICE
from .stack import Task, stack

if TYPE_CHECKING:
    from .check import Deadlock, LetGo, Look

_WATCH = "__onenter_deadlock_fix_watch"  # an attribute of the event loop: its watch, while a timer ticks
# An AgentTask and on_enter of a new agent may take as long as they like, unless they can't complete.
_FUNCTIONS = CHANGES | {f"{VOICE}agent.__await_impl", f"{VOICE}agent_session._update_activity"}
_NAMES = {function.rpartition(".")[2] for function in _FUNCTIONS}
# All of them come from these; each one more is 1 % of a handoff.
_WRAPPED = (
    ("agent_activity", "AgentActivity", "pause"),
    ("agent_activity", "AgentActivity", "drain"),
    ("agent_session", "AgentSession", "_aclose_impl"),
    ("run_result", "RunResult", "__await__"),
)

_request: Request | None = None
_unwatched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()  # event loops in which no timer can be set
_wrappers = Wrappers()


class _Change:
    """What is known of a change that is under way; times are by the event loop's clock."""

    next_look = 0.0
    was_slow = is_told = False

    def __init__(self, task: Task, since: float) -> None:
        self.task = task
        self.since = since  # it has been where it is


class _Watch:
    """The changes that are under way in an event loop, and which deadlocks were logged."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changes: dict[Hashable, _Change] = {}
        self._found: set[Hashable] = set()  # the deadlocks of the last look
        self._logged: set[Hashable] = set()
        self._let_go: list[LetGo] = []
        self._errors: set[int] = set()

    def tick_later(self, request: Request) -> None:
        # In an empty context, since that of a change has its activity in it.
        Context().run(self._loop.call_later, min(request.after / 10, 0.25), self._tick)
        setattr(self._loop, _WATCH, self)

    def _tick(self) -> None:
        request = _request
        try:
            setattr(self._loop, _WATCH, None)
            if request is None:
                return
            tasks, now = asyncio.all_tasks(self._loop), self._loop.time()
            self._changes = {key: self._changes.get(key) or _Change(task, now) for key, task in _under_way(tasks)}
            if self._changes:
                self.tick_later(request)
            self._let_go = [one for one in self._let_go if not all(handle.done() for handle in one.handles)]
            for one in self._let_go:
                one.interrupt_dropped()
            # where one is due, all are looked at that are old enough: the best placed of them is told of a deadlock
            old = [change for change in self._changes.values() if change.since + request.after <= now]
            if any(change.next_look <= now for change in old):
                self._look(tasks, old, now, request)
        except Exception as error:  # of ours, or of a log handler of the program's
            if id(type(error)) not in self._errors:
                self._errors.add(id(type(error)))
                _log_error("an error while looking at the changes of an agent, which are left alone")

    def _look(self, tasks: set[Task], changes: list[_Change], now: float, request: Request) -> None:
        """Look at changes that have waited long enough, and log what two looks, one tick apart, find the same."""
        # only now: most programs never need them, and each import of livekit.agents would pay for them
        from . import report
        from .check import Look

        look = Look(tasks, [change.task for change in changes])
        found = [(look.deadlock(change.task), change) for change in changes]
        found.sort(key=lambda each: each[0].rank if each[0] else (True, True, ""))
        before, self._found = self._found, {deadlock.key for deadlock, _ in found if deadlock}
        self._logged &= self._found  # another one may come to be where one is over
        seen: set[Hashable] = set()
        for deadlock, change in found:
            if deadlock and deadlock.key not in before:
                continue  # the next tick sees whether it still is a deadlock
            if deadlock and deadlock.key not in seen:
                seen.add(deadlock.key)
                if self._tell(look, deadlock, change, resolves=request.mode == "resolve"):
                    return  # what is so after something was let go, the next tick sees
            change.is_told |= deadlock is not None and deadlock.is_on_it
            if change.next_look <= now:
                change.next_look = now + request.after
                waiters = [] if change.is_told else look.slow(change.task)
                # a run is slow where two looks find nobody at work: between two turns of a model nobody is for a moment
                if waiters and (change.was_slow or not look.is_run(change.task)):
                    name = look.names.change(change.task).name
                    change.is_told = report.slow(name, waiters, now - change.since, change.task)
                change.was_slow = bool(waiters)

    def _tell(self, look: Look, deadlock: Deadlock, change: _Change, *, resolves: bool) -> bool:
        """Log a deadlock, unless it was, and let go what can be. Say whether something was let go."""
        from . import report

        task, is_new = change.task, deadlock.key not in self._logged
        if not is_new and not resolves:
            return False
        told, can_let_go = look.told(task, is_on_it=deadlock.is_on_it), look.can_let_go(task)
        let_go = can_let_go if resolves else []
        for one in let_go:
            one()  # before anything is logged: a handler of the program's may raise
        self._let_go += let_go
        if is_new and report.deadlock(*told, can_let_go, task, resolves=resolves):
            self._logged.add(deadlock.key)
            change.is_told = True
        for one in let_go:
            report.let_go(one, task)
        return bool(let_go)


def _under_way(tasks: set[Task]) -> Iterator[tuple[Hashable, Task]]:
    """Yield those of the tasks that are in the middle of a change, each with the place where that is suspended."""
    for task in tasks:
        # by its name alone first, which costs less: this is done for every task
        named = [one for one in stack(task) if one.frame.f_code.co_name in _NAMES]
        inside = [one for one in named if one.function in _FUNCTIONS]
        if inside:
            outermost = next((one for one in inside if one.function in CHANGES), inside[0])
            yield (outermost.awaitable, *(one.frame.f_lasti for one in inside)), task


def _watching(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Wrap a change: see to it that the timer ticks. Most changes are over before it does, and pay for no more."""
    _begin()
    return wrapped(*args, **kwargs)


def _begin() -> None:
    """Have the timer of the running event loop tick, if it does not yet; raise nothing."""
    loop, request = _get_running_loop(), _request
    if loop is not None and getattr(loop, _WATCH, None) is None and request is not None and loop not in _unwatched:
        try:
            _Watch(loop).tick_later(request)
        except Exception:  # of an event loop that is not like asyncio's
            with contextlib.suppress(TypeError):  # it can't be referred to weakly
                _unwatched.add(loop)
            _log_error("changes of an agent can't be watched in this event loop")


def _log_error(what: str) -> None:
    with contextlib.suppress(Exception):  # of a log handler of the program's
        logging.getLogger(LOGGER).exception(what)


def install(request: Request) -> str:
    """Watch the changes of agents, also those under way in the running event loop.

    Return an empty string, or why that can't be. Raise what wrapping raises.
    """
    global _request
    mismatch = first_mismatch(FINGERPRINT)
    if mismatch:
        uninstall()
        return f"in this build {mismatch}"
    _wrappers.install(
        (getattr(importlib.import_module(VOICE + module), owner), name, _watching) for module, owner, name in _WRAPPED
    )
    _request = request
    _begin()
    return ""


def uninstall() -> None:
    """Put the library's functions back, and look at nothing any more."""
    global _request
    _request = None
    _wrappers.uninstall()


def remarks() -> list[str]:
    """Return which event loops can't be watched, if there are any."""
    return [f"changes can't be watched in {len(_unwatched)} event loop(s) of this process"] if _unwatched else []
