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
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from .._guard import difference
from .._wrapper import CoroutineFunction, Wrappers
from .config import LOGGER, Request
from .library import CHANGES, FINGERPRINT, VOICE
from .stack import stack

if TYPE_CHECKING:
    from .check import Deadlock, LetGo, Look

Task = asyncio.Task[Any]

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

    position: tuple[int, ...] = ()  # in the code of livekit-agents
    since = next_look = 0.0
    was_slow = False  # by the last look
    is_told = False


class _Watch:
    """The changes that are under way in an event loop, and which deadlocks were logged."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changes: WeakKeyDictionary[Any, _Change] = WeakKeyDictionary()  # by the coroutine
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
            tasks = asyncio.all_tasks(self._loop)
            under_way = list(self._under_way(tasks, request.after))
            if under_way:
                self.tick_later(request)
            self._let_go = [one for one in self._let_go if not all(handle.done() for handle in one.handles)]
            for one in self._let_go:
                one.interrupt_dropped(tasks)
            # where one is due, all are looked at that are old enough: the best placed of them is told of a deadlock
            now = self._loop.time()
            if any(change.next_look <= now for _, change in under_way):
                self._look(tasks, [each for each in under_way if each[1].since + request.after <= now], request)
        except Exception as error:  # of ours, or of a log handler of the program's
            if id(type(error)) not in self._errors:
                self._errors.add(id(type(error)))
                _log_error("an error while looking at the changes of an agent, which are left alone")

    def _under_way(self, tasks: set[Task], after: float) -> Iterator[tuple[Task, _Change]]:
        """Yield those of the tasks that are in the middle of a change, with that."""
        for task in tasks:
            # by its name alone first, which costs less: this is done for every task
            named = [one for one in stack(task) if one.frame.f_code.co_name in _NAMES]
            inside = [one for one in named if one.function in _FUNCTIONS]
            if inside:
                outermost = next((one for one in inside if one.function in CHANGES), inside[0])
                change = self._changes.setdefault(outermost.awaitable, _Change())
                position = tuple(one.frame.f_lasti for one in inside)
                if change.position != position:
                    change.position, change.since, change.was_slow = position, self._loop.time(), False
                    change.next_look = change.since + after
                yield task, change

    def _look(self, tasks: set[Task], due: list[tuple[Task, _Change]], request: Request) -> None:
        """Look at changes that have waited long enough, and once more one tick later where they are deadlocked."""
        # only now: most programs never need them, and each import of livekit.agents would pay for them
        from . import report
        from .check import Look

        look = Look(tasks, [task for task, _ in due])
        found = [(look.deadlock(task), task, change) for task, change in due]
        found.sort(key=lambda each: each[0].rank if each[0] else (True, True, ""))
        before, self._found = self._found, {deadlock.key for deadlock, *_ in found if deadlock}
        self._logged &= self._found  # another one may come to be where one is over
        seen: set[Hashable] = set()
        let_go = len(self._let_go)
        for deadlock, task, change in found:
            # The next tick sees whether it still is a deadlock, and what is so where something was let go meanwhile.
            if (deadlock and deadlock.key not in before) or len(self._let_go) > let_go:
                continue
            is_due = change.next_look <= self._loop.time()
            if is_due:
                change.next_look = self._loop.time() + request.after
            if deadlock and deadlock.key not in seen:
                seen.add(deadlock.key)
                change.is_told |= self._report(look, deadlock, task, resolves=request.mode == "resolve")
            change.is_told |= deadlock is not None and deadlock.is_on_it
            if is_due and not change.is_told and len(self._let_go) == let_go:
                waiters = look.slow(task)
                # a run is slow where two looks find nobody at work: between two turns of a model nobody is for a moment
                if waiters and (change.was_slow or not look.is_run(task)):
                    name, waited = look.names.of_change(task).text, self._loop.time() - change.since
                    change.is_told = report.slow(name, waiters, waited, task)
                change.was_slow = bool(waiters)

    def _report(self, look: Look, deadlock: Deadlock, task: Task, *, resolves: bool) -> bool:
        """Log a deadlock, unless it was, and let go what can be. Say whether it was logged, with this task's change."""
        from . import report

        is_new = deadlock.key not in self._logged
        if not is_new and not resolves:
            return False
        waiters, can_let_go = look.waiters(task) if is_new else [], look.can_let_go(task)
        let_go = can_let_go if resolves else []
        for one in let_go:
            one()  # before anything is logged: a handler of the program's may raise
        self._let_go += let_go
        name = look.names.of_change(task).text
        is_new = is_new and report.deadlock(deadlock, name, waiters, can_let_go, task, resolves=resolves)
        if is_new:
            self._logged.add(deadlock.key)
        for one in let_go:
            report.let_go(one, task)
        return is_new


def _watching(wrapped: CoroutineFunction) -> CoroutineFunction:
    """Wrap a change: see to it that the timer ticks. Most changes are over before it does, and pay for no more."""

    def wrapper(instance: Any, *args: Any, **kwargs: Any) -> Any:
        loop = _get_running_loop()
        if loop is not None and getattr(loop, _WATCH, None) is None and _wrappers.on:
            _begin(loop)
        return wrapped.__get__(instance, type(instance))(*args, **kwargs)

    return wrapper


def _begin(loop: asyncio.AbstractEventLoop) -> None:
    """Have the timer tick; raise nothing."""
    request = _request
    if request is not None and loop not in _unwatched:
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
    different = difference(FINGERPRINT)
    if different:
        uninstall()
        return f"in this build {different}"
    _wrappers.install(
        (getattr(importlib.import_module(VOICE + module), owner), name, _watching) for module, owner, name in _WRAPPED
    )
    _request = request
    loop = _get_running_loop()
    if loop is not None and getattr(loop, _WATCH, None) is None:
        _begin(loop)
    return ""


def uninstall() -> None:
    """Put the library's functions back, and look at nothing any more."""
    global _request
    _request = None
    _wrappers.uninstall()


def remarks() -> str:
    """Return which event loops can't be watched, if there are any."""
    return f"changes can't be watched in {len(_unwatched)} event loop(s) of this process" if _unwatched else ""
