"""Log the records: text for people, and the same as data in the record's ``extra``."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from packaging.version import InvalidVersion, Version

from .asyncio_edges import context_of
from .config import DETECT, LOGGER
from .labels import CHANGE_ROLES, WaitRecord
from .release import Release
from .stack import Task

# Deadlocks that upstream has fixed: the waits (role, awaited role) of the changes, on_enter() and the tools on the
# cycle -> the first release with the fix, see docs/compatibility.md.
_FIXED_IN = {
    # livekit/agents issue #4109
    frozenset({("tool", "handoff"), ("handoff", "on_enter"), ("on_enter", "reply")}): "1.3.6",
    # pull request #6071
    frozenset({("on_enter", "handoff"), ("handoff", "session close"), ("session close", "on_enter")}): "1.6.1",
    frozenset({("tool", "handoff"), ("handoff", "update_agent()"), ("update_agent()", "on_exit")}): "1.8.2",
}
_ROLES = {*CHANGE_ROLES, "on_enter", "tool"}
_MAX_WAITS = 50  # in a record


def deadlock(
    name: str, records: Sequence[WaitRecord], releases: Sequence[Release], task: Task, *, is_on_cycle: bool, mode: str
) -> None:
    """Log that a change can never complete."""
    fixed_in = _fixed_in(records)
    advice = f"set {DETECT}=resolve to let {{}} go on without waiting for {{}}"
    lines = [
        f"deadlock: {name} waits for {'itself' if is_on_cycle else 'what can never complete'}",
        *_lines(records),
        "none of these can complete; a time-out or a cancellation may abort it",
        *([f"fixed in livekit-agents {fixed_in}"] if fixed_in else []),
        *(_release_line(advice, "; it still waits for", release) for release in releases if mode != "resolve"),
    ]
    data = {"waits": _data(records), "fixed_in": fixed_in, "can_release": bool(releases)}
    _log(logging.ERROR, lines, {"deadlock": data}, task)


def released(release: Release, task: Task) -> None:
    """Log that a change no longer waits for what was released."""
    line = _release_line("{} no longer waits for {}", ", but still for", release)
    _log(logging.WARNING, [line], {"release": {"waits": _data(release.waits)}}, task)


def slow_wait(name: str, records: Sequence[WaitRecord], waited: float, task: Task) -> None:
    """Log that a change has waited for ``waited`` seconds, and for whom."""
    awaited = _join(wait.waits_for for wait in records if wait.name == name and wait.waits_for)
    lines = [f"{name} has waited{f' for {awaited}' if awaited else ''} for {waited:.1f} s", *_lines(records)]
    _log(logging.WARNING, lines, {"wait": {"waits": _data(records), "seconds": round(waited, 1)}}, task)


def _release_line(text: str, but: str, release: Release) -> str:
    line = text.format(release.waits[0].name, _join(wait.waits_for for wait in release.waits))
    return f"{line}{but} {_join(release.remaining)}" if release.remaining else line


def _join(names: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(names))


def _fixed_in(records: Sequence[WaitRecord]) -> str | None:
    """Return the release that fixed this deadlock, if the installed release is older; else None."""
    roles = {record.name: record.role for record in records}
    waits = ((role, roles.get(record.waits_for, "")) for record in records if (role := record.role) in _ROLES)
    fixed_in = _FIXED_IN.get(frozenset(waits))
    with contextlib.suppress(ImportError, InvalidVersion, TypeError):  # a build that does not say which release it is
        from livekit.agents.version import __version__ as version

        return fixed_in if fixed_in and Version(version) < Version(fixed_in) else None
    return None


def _lines(records: Sequence[WaitRecord]) -> list[str]:
    """Return the text of the first waits, with the user's lines below the first wait of each waiter."""
    detailed = {record.name for record in records if str(record) != record.name}
    shown = [record for record in records if str(record) != record.name or record.name not in detailed]
    code = {record.name: record.lines for record in records}
    lines = []
    for record in shown[:_MAX_WAITS]:
        lines.append(str(record))
        lines += [f"  at {': '.join(filter(None, line))}" for line in code.pop(record.name, {}).items()]
    return [*lines, f"and {len(shown) - _MAX_WAITS} waits more"] if len(shown) > _MAX_WAITS else lines


def _data(records: Sequence[WaitRecord]) -> list[dict[str, Any]]:
    """Return the waits as data, without source text: livekit-agents' console reads its brackets as markup up to 1.3."""
    waits = [{**record._asdict(), "lines": list(record.lines)} for record in records[:_MAX_WAITS]]
    return [{name: value for name, value in wait.items() if value} for wait in waits]


def _log(level: int, lines: Sequence[str], extra: dict[str, Any], task: Task) -> None:
    """Log in the context of the task that hangs, so that its context variables are available to log handlers."""
    # a copy, because with nested loops the task may be running in the context itself
    log = logging.getLogger(LOGGER).log
    context_of(task).copy().run(log, level, "\n  ".join(lines), extra=extra)
