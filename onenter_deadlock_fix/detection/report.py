"""The records: text for people, and the same as data in the record's ``extra``.

They are logged in the context of the task that hangs, so that what the program keeps there for its log is on them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from packaging.version import InvalidVersion, Version

from .asyncio_edges import context_of
from .check import LetGo
from .config import DETECT, LOGGER
from .describe import CHANGES, Waiter
from .stack import Task

_logger = logging.getLogger(LOGGER)

# Deadlocks that upstream has taken out: whom the changes, on_enter and the tools on the cycle wait for, by roles, and
# the release from which on that does not happen any more, as docs/compatibility.md shows.
_CURES = {
    # livekit/agents issue #4109
    frozenset({("tool", "handoff"), ("handoff", "on_enter"), ("on_enter", "reply")}): "1.3.6",
    # pull request #6071
    frozenset({("on_enter", "handoff"), ("handoff", "session close"), ("session close", "on_enter")}): "1.6.1",
    frozenset({("tool", "handoff"), ("handoff", "update_agent()"), ("update_agent()", "on_exit")}): "1.8.2",
}
_MANY = 50  # waits in a record


def deadlock(
    headline: str, waiters: Sequence[Waiter], can_let_go: Sequence[LetGo], task: Task, *, resolves: bool
) -> bool:
    """Log that a change can never complete; say whether that was emitted."""
    lines = [f"deadlock: {headline}", *_lines(waiters)]
    lines.append("none of these can complete; a time-out or a cancellation may abort it")
    cured_in = _cured_in(waiters)
    if cured_in:
        lines.append(f"livekit-agents {cured_in} and later are cured of this")
    if not resolves:
        lines += [f"with {DETECT}=resolve, {_told(one)}" for one in can_let_go]
    data = {"waits": _data(waiters), "cured_in": cured_in, "can_let_go": bool(can_let_go)}
    return _log(logging.ERROR, lines, {"deadlock": data}, task)


def let_go(given: LetGo, task: Task) -> None:
    """Log that a drain no longer waits for what it has let go."""
    _log(logging.WARNING, [_told(given)], {"let_go": {"waits": _data(given.waits)}}, task)


def slow(name: str, waiters: Sequence[Waiter], waited: float, task: Task) -> bool:
    """Log that a change has waited for so many seconds, and for whom; say whether that was emitted."""
    awaited = " and ".join(dict.fromkeys(one.waits_for for one in waiters if one.name == name and one.waits_for))
    lines = [f"{name} has waited{f' for {awaited}' if awaited else ''} for {waited:.1f} s", *_lines(waiters)]
    return _log(logging.WARNING, lines, {"wait": {"waits": _data(waiters), "seconds": round(waited, 1)}}, task)


def _told(given: LetGo) -> str:
    text = f"{given.waits[0].name} no longer waits for {' and '.join(one.waits_for for one in given.waits)}"
    return f"{text}, but still for {' and '.join(given.remaining)}" if given.remaining else text


def _cured_in(waiters: Sequence[Waiter]) -> str | None:
    """Return the release that is cured of this whole deadlock, if there is one, and this is an older one."""
    roles = {waiter.name: waiter.role for waiter in waiters}
    waits = {(one.role, roles.get(one.waits_for, "")) for one in waiters if one.role in (*CHANGES, "on_enter", "tool")}
    cured_in = _CURES.get(frozenset(waits))
    with contextlib.suppress(ImportError, InvalidVersion, TypeError):  # a build that does not say which release it is
        from livekit.agents.version import __version__ as release

        return cured_in if cured_in and Version(release) < Version(cured_in) else None
    return None


def _lines(waiters: Sequence[Waiter]) -> list[str]:
    """Return the first waits, with the user's lines where a waiter comes for the first time."""
    says_more = {one.name for one in waiters if one.waits_for or one.reason}
    told = [one for one in waiters if one.waits_for or one.reason or one.name not in says_more]
    lines, shown = [], set()
    for one in told[:_MANY]:
        lines.append(str(one))
        if (one.name, one.places) not in shown:
            lines += [f"  at {': '.join(filter(None, place))}" for place in one.places]
            shown.add((one.name, one.places))
    return [*lines, f"and {len(told) - _MANY} waits more"] if len(told) > _MANY else lines


def _data(waiters: Sequence[Waiter]) -> list[dict[str, Any]]:
    """Return the waits without the text of lines, whose brackets livekit-agents' console takes for markup up to 1.3."""
    waits = ({**one._asdict(), "places": [where for where, _ in one.places]} for one in waiters[:_MANY])
    return [{name: value for name, value in wait.items() if value} for wait in waits]


def _log(level: int, lines: Sequence[str], extra: dict[str, Any], task: Task) -> bool:
    if not _logger.isEnabledFor(level):
        return False
    # a copy: the task may be running in the context itself where loops are nested
    context_of(task).copy().run(_logger.log, level, "\n  ".join(lines), extra=extra)
    return True
