"""Log the records: text for people, and the same as data in the record's ``extra``.

They are logged in the context of the task that hangs, so that its context variables are available to log handlers.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from packaging.version import InvalidVersion, Version

from .asyncio_edges import context_of
from .config import DETECT, LOGGER
from .labels import CHANGE_ROLES, WaitRecord
from .release import Release
from .stack import Task

_logger = logging.getLogger(LOGGER)

# Deadlocks that upstream has fixed: the waits (role, awaited role) of the changes, on_enter() and the tools on the
# cycle -> the first release with the fix, see docs/compatibility.md.
_FIXED_IN = {
    # livekit/agents issue #4109
    frozenset({("tool", "handoff"), ("handoff", "on_enter"), ("on_enter", "reply")}): "1.3.6",
    # pull request #6071
    frozenset({("on_enter", "handoff"), ("handoff", "session close"), ("session close", "on_enter")}): "1.6.1",
    frozenset({("tool", "handoff"), ("handoff", "update_agent()"), ("update_agent()", "on_exit")}): "1.8.2",
}
_MAX_WAITS = 50  # in a record


def is_enabled(level: int) -> bool:
    """Return whether records of this level are logged at present."""
    return _logger.isEnabledFor(level)


def deadlock(
    name: str, records: Sequence[WaitRecord], releases: Sequence[Release], task: Task, *, is_on_cycle: bool, mode: str
) -> None:
    """Log that a change can never complete."""
    lines = [f"deadlock: {name} waits for {'itself' if is_on_cycle else 'what can never complete'}", *_lines(records)]
    lines.append("none of these can complete; a time-out or a cancellation may abort it")
    fixed_in = _fixed_in(records)
    if fixed_in:
        lines.append(f"fixed in livekit-agents {fixed_in}")
    if mode != "resolve":
        lines += [f"set {DETECT}=resolve to let {_advice(release)}" for release in releases]
    data = {"waits": _data(records), "fixed_in": fixed_in, "can_release": bool(releases)}
    _log(logging.ERROR, lines, {"deadlock": data}, task)


def released(release: Release, task: Task) -> None:
    """Log that a change no longer waits for what was released."""
    remaining = f", but still for {' and '.join(release.remaining)}" if release.remaining else ""
    line = f"{release.waits[0].name} no longer waits for {_released_names(release)}{remaining}"
    _log(logging.WARNING, [line], {"release": {"waits": _data(release.waits)}}, task)


def slow_wait(name: str, records: Sequence[WaitRecord], waited: float, task: Task) -> None:
    """Log that a change has waited for ``waited`` seconds, and for whom."""
    awaited = " and ".join(dict.fromkeys(wait.waits_for for wait in records if wait.name == name and wait.waits_for))
    lines = [f"{name} has waited{f' for {awaited}' if awaited else ''} for {waited:.1f} s", *_lines(records)]
    _log(logging.WARNING, lines, {"wait": {"waits": _data(records), "seconds": round(waited, 1)}}, task)


def _advice(release: Release) -> str:
    remaining = f"; it still waits for {' and '.join(release.remaining)}" if release.remaining else ""
    return f"{release.waits[0].name} go on without waiting for {_released_names(release)}{remaining}"


def _released_names(release: Release) -> str:
    return " and ".join(wait.waits_for for wait in release.waits)


def _fixed_in(records: Sequence[WaitRecord]) -> str | None:
    """Return the release that fixed this deadlock, if the installed release is older; else None."""
    roles = {record.name: record.role for record in records}
    waits = {
        (record.role, roles.get(record.waits_for, ""))
        for record in records
        if record.role in (*CHANGE_ROLES, "on_enter", "tool")
    }
    fixed_in = _FIXED_IN.get(frozenset(waits))
    with contextlib.suppress(ImportError, InvalidVersion, TypeError):  # a build that does not say which release it is
        from livekit.agents.version import __version__ as release

        return fixed_in if fixed_in and Version(release) < Version(fixed_in) else None
    return None


def _lines(records: Sequence[WaitRecord]) -> list[str]:
    """Return the text of the first waits, with the user's lines below the first wait of each waiter."""
    detailed = {record.name for record in records if record.waits_for or record.waits_in or record.reason}
    shown = [wait for wait in records if wait.waits_for or wait.waits_in or wait.reason or wait.name not in detailed]
    lines, with_lines = [], set()
    for record in shown[:_MAX_WAITS]:
        lines.append(str(record))
        if (record.name, record.lines) not in with_lines:
            lines += [f"  at {': '.join(filter(None, line))}" for line in record.lines]
            with_lines.add((record.name, record.lines))
    return [*lines, f"and {len(shown) - _MAX_WAITS} waits more"] if len(shown) > _MAX_WAITS else lines


def _data(records: Sequence[WaitRecord]) -> list[dict[str, Any]]:
    """Return the waits as data, without source text: livekit-agents' console reads its brackets as markup up to 1.3."""
    waits = ({**record._asdict(), "lines": [line.place for line in record.lines]} for record in records[:_MAX_WAITS])
    return [{name: value for name, value in wait.items() if value} for wait in waits]


def _log(level: int, lines: Sequence[str], extra: dict[str, Any], task: Task) -> None:
    # a copy, because with nested loops the task may be running in the context itself
    context_of(task).copy().run(_logger.log, level, "\n  ".join(lines), extra=extra)
