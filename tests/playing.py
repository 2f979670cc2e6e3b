"""Play a program, which is a coroutine function, in this process. Tests do so in a fork, by the fixture ``play``."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections.abc import Coroutine
from typing import Any, Callable

import onenter_deadlock_fix

import livekit.agents  # isort: skip
from livekit.agents.cli.log import JsonFormatter
from programs import LIMIT
from recorder import Recorder, record
from scenarios.stage import performance
from virtual_time import VirtualTimeLoop

from onenter_deadlock_fix import detection

AFTER = 0.2  # seconds of the loop's time; what completes does so sooner, unless it is slow on purpose
LONGEST = 10.0  # seconds of virtual time, which no program needs
AFTER_AN_ERROR = 1.5  # seconds of real time, in which detection checks several times


def play(
    program: Callable[..., Coroutine[Any, Any, Any]],
    mode: str = "off",
    *,
    after: float = AFTER,
    fix: bool = True,
    release: str | None = None,
    loop: str = "virtual",
    level: int = logging.WARNING,
    **arguments: Any,
) -> dict[str, Any]:
    """Play a program with arguments until it completes or hangs; return what came of it.

    mode, after: those of detection. fix: whether the fix is on. release: what the library is to give as its release.
    loop: ``virtual``, or ``debug``, ``nested`` or ``eager``, which are virtual, too; ``asyncio`` or ``uvloop``.
    level: of the records to be kept.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    recorder = record(level)
    if release is not None:
        livekit.agents.version.__version__ = release
    if not fix:
        recorder.addFilter(lambda record: "NOT active" not in record.getMessage())  # which is meant
        onenter_deadlock_fix.deactivate()
    if mode != "off":
        onenter_deadlock_fix.detect(mode, after=after)  # type: ignore[arg-type]
    errors: list[str] = []
    event_loop = _event_loop(loop)
    asyncio.set_event_loop(event_loop)
    event_loop.set_exception_handler(lambda _, context: errors.append(str(context)))
    outcome = event_loop.run_until_complete(_perform(performance(program, **arguments), recorder, mode))
    return {**outcome, "errors": errors}


async def _perform(program: Any, recorder: Recorder, mode: str) -> dict[str, Any]:
    playing = asyncio.ensure_future(program)
    if isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        await asyncio.wait([playing], timeout=LONGEST)
    else:  # however slow the machine is
        while not playing.done() and not any(record.levelno == logging.ERROR for record in recorder.records):
            await asyncio.wait([playing], timeout=0.1)
        await asyncio.wait([playing], timeout=LIMIT if mode == "resolve" else AFTER_AN_ERROR)
    status = onenter_deadlock_fix.status()
    over = playing.done()
    return {
        "over": over,  # whether the program has come to its end
        "result": playing.result() if over else None,
        "cycle": [] if over else detection.cycle(),
        **{name: getattr(status, name) for name in ("state", "detection", "reason", "handoffs")},
        "records": [
            # as it is, and as livekit-agents' JSON log has it
            {"level": level, "message": message, "json": json.loads(JsonFormatter().format(record))}
            for record, (level, message) in zip(recorder.records, recorder.messages())
        ],
    }


def _event_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind in ("asyncio", "uvloop"):
        return importlib.import_module(kind).new_event_loop()  # type: ignore[no-any-return]
    loop = VirtualTimeLoop()
    loop.set_debug(kind == "debug")
    if kind == "nested":
        importlib.import_module("nest_asyncio").apply(loop)  # as livekit-agents' own jupyter module does
    if kind == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    return loop
