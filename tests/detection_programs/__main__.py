"""Plays programs, each in a fork of this process: a request and its answer are a line of JSON each."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from types import CoroutineType
from typing import Any

import onenter_deadlock_fix

import livekit.agents  # isort: skip
from virtual_time import VirtualTimeLoop

from onenter_deadlock_fix import detection

from .stage import Keep, errors, records

LIMIT = 10.0  # seconds of the loop's time, which none of the programs needs
REAL_LIMIT = 1.5  # the same where they are real
DEADLINE = 60  # real seconds; then the program is killed


def main() -> None:
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _play_in_fork(json.loads(line), writing)
        os.close(writing)
        with open(reading, encoding="utf-8") as answer:
            told = answer.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(told or json.dumps({"failed": f"ended with {code}"}), flush=True)


def _play_in_fork(request: dict[str, Any], writing: int) -> None:
    """Play, write the answer and end this process, whatever happens."""
    try:
        signal.alarm(DEADLINE)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        answer = _play(**request)
    except BaseException:
        answer = {"failed": traceback.format_exc()}
    with open(writing, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os._exit(0)  # tasks that hang would be waited for


def _play(
    program: str, mode: str, after: float, fix: bool, release: str | None, loop: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Play a program in a mode and in an event loop of a kind; return what came of it and what was logged.

    release: what the library is to give as its release.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    logger = logging.getLogger("onenter_deadlock_fix")
    logger.addHandler(Keep(logging.WARNING))
    logger.propagate = False
    if release is not None:
        livekit.agents.version.__version__ = release
    if not fix:
        onenter_deadlock_fix.deactivate()
    if mode != "off":
        onenter_deadlock_fix.detect(mode, after=after)  # type: ignore[arg-type]
    module, _, function = program.rpartition(".")
    performance = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    event_loop, limit = _event_loop(loop)
    asyncio.set_event_loop(event_loop)
    event_loop.set_exception_handler(lambda _, context: errors.append(str(context)))
    return event_loop.run_until_complete(_perform(performance(**arguments), limit))


async def _perform(performance: Any, limit: float) -> dict[str, Any]:
    """Let a program go on until it is over, or nothing moves in it any more."""
    playing = asyncio.ensure_future(performance)
    await asyncio.wait([playing], timeout=limit)
    status = onenter_deadlock_fix.status()
    over = playing.done()
    return {
        "over": over,  # whether the program has come to its end
        "result": playing.result() if over else None,
        "waiting": sorted(set(_waiting())),  # functions of the programs that are suspended at the end
        "cycle": [] if over else detection.cycle(),
        "state": status.state,
        "detection": status.detection,
        "reason": status.reason,
        "records": records,
        "errors": errors,  # that the event loop has been told of
    }


def _waiting() -> Iterator[str]:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        coroutine: Any = asyncio.Task.get_coro(task)  # that of the program's own class may be odd
        while type(coroutine) is CoroutineType:
            if coroutine.cr_frame and coroutine.cr_frame.f_globals["__name__"].startswith(f"{__package__}."):
                yield coroutine.cr_code.co_name
            coroutine = coroutine.cr_await


def _event_loop(kind: str) -> tuple[asyncio.AbstractEventLoop, float]:
    """Return an event loop of a kind, and how many of its seconds a program has."""
    if kind == "uvloop":
        import uvloop

        return uvloop.new_event_loop(), REAL_LIMIT
    if kind == "asyncio":
        return asyncio.new_event_loop(), REAL_LIMIT
    loop = VirtualTimeLoop()
    if kind == "debug":
        loop.set_debug(True)
    elif kind == "nested":
        import nest_asyncio  # type: ignore[import-untyped]

        nest_asyncio.apply(loop)  # as livekit-agents' own jupyter module does
    elif kind == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    else:
        assert kind == "virtual", kind
    return loop, LIMIT


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
