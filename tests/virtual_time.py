"""An event loop whose time goes as soon as there is nothing to do but to wait for it."""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any, Callable


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """One of asyncio's, whose clock stands still while callbacks run and jumps to the next timer when none is left.

    While a job in an executor or a socket may still bring something, the clock goes as the real one does, since nobody
    can say how long that takes. A thread that was started in another way is not seen. Who waits by another clock than
    the loop's waits really.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._jobs: set[asyncio.Future[Any]] = set()
        self._watched = _Selector(self)
        super().__init__(self._watched)
        self._own_sockets = len(self._watched.get_map())

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        job = super().run_in_executor(executor, func, *args)
        self._jobs.add(job)
        return job

    def is_alone(self) -> bool:
        """Say whether nothing can come from outside: there is no job in an executor, and no socket is watched."""
        self._jobs = {job for job in self._jobs if not job.done()}
        return not self._jobs and len(self._watched.get_map()) == self._own_sockets

    def timers(self) -> list[asyncio.TimerHandle]:
        """Return those that are still to be called."""
        return [timer for timer in self._scheduled if not timer.cancelled()]


class _Selector(selectors.DefaultSelector):
    """What the loop waits in, where it has nothing to call: really, or by letting its own time pass."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if not self._loop.is_alone():
            began = time.monotonic()
            events = super().select(timeout)
            self._loop.pass_time(time.monotonic() - began)
            return events
        events = super().select(0)  # what another thread has called by call_soon_threadsafe()
        if not events:
            if timeout is None:
                raise RuntimeError("nothing is left that could ever happen in this event loop")
            self._loop.pass_time(timeout)
        return events
