"""Rules for any program: the outcomes of the same program in several modes are compared with each other."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

_ROLE = re.compile(r"the tool (?P<tool>\w+)|(?P<method>on_enter|on_exit)\(\) of (?P<agent>\w+)")
_ABORT = re.compile(
    r" gets \w*(Error|Exception)\b|: (interrupt|interrupt_first|close|shutdown|drain)\(|^closing the session awaits$"
)
# what the functions that change the agent, or close the session, are called in a record
_NAMES_OF_CHANGES = {
    "pause": "handoff",
    "drain": r"session\.(update_agent|drain|aclose)\(|the close|handoff",
    "aclose": r"session\.update_agent\(|close|handoff",  # of an activity, which others do on their way
    "_aclose_impl": r"session\.aclose\(\)|the close of the session",
}
Outcome = dict[str, Any]
Outcomes = dict[str, Outcome]  # by mode: bare (no fix), off, report, resolve; others are off once more


def violations(played: Outcomes) -> Iterator[str]:
    """Yield the rules that the outcomes of a program violate."""
    off, report = played["off"], played["report"]
    for mode, outcome in played.items():
        errors = [record["says"] for record in outcome["log"] if not record["waits"]]
        errors += [line for line in outcome.get("cycle", ()) if line.startswith("error")]
        yield from (f"crash: in the mode {mode}: {error}" for error in errors)
    as_off = [off, *(outcome for mode, outcome in played.items() if mode.startswith("off again"))]
    if not any(is_the_same(report, other) for other in as_off):
        yield "touched: the mode report changes what happens"
    yield from _false_alarms(report)
    yield from _unreported(report)
    yield from _reported_twice(report)
    if "resolve" in played:
        yield from _harmed(played["resolve"], as_off)
    bare = played.get("bare", off)
    if _is_clean(bare) and not _aborts(bare["steps"]) and not _is_clean(off):
        yield "harm: it completes without the fix, and not with it"


def _harmed(resolve: Outcome, as_off: list[Outcome]) -> Iterator[str]:
    # where a time-out ended one deadlock, the program may come to another one instead, which is reported then
    is_reported_last = resolve["log"] and _deadlocks(resolve)[-1:] == resolve["log"][-1:]
    comes_to_another = is_reported_last and _aborts(as_off[0]["steps"])
    if _is_clean(as_off[0]) and not _is_clean(resolve) and not comes_to_another:
        yield "harm: it completes without resolve, and not with it"
    is_released = any("no longer waits" in record["says"] for record in resolve["log"])
    if not _deadlocks(resolve) and not is_released and not any(is_the_same(resolve, other) for other in as_off):
        yield "harm: resolve logs nothing, and changes what happens"


def is_the_same(one: Outcome, other: Outcome) -> bool:
    """Return whether the same has happened; at one moment it has no order, as tasks in a set have none."""
    return one["ended"] == other["ended"] and sorted(one["steps"]) == sorted(other["steps"])


def _is_clean(outcome: Outcome) -> bool:
    return outcome["ended"] == "completed" and not outcome["waits"] and not outcome["still"]


def _deadlocks(outcome: Outcome) -> list[dict[str, Any]]:
    return [record for record in outcome["log"] if record["level"] == "ERROR"]


def _aborts(steps: list[str]) -> bool:
    return any(map(_ABORT.search, steps))


def _false_alarms(report: Outcome) -> Iterator[str]:
    """Who is called deadlocked waits until the end, unless something was aborted after that."""
    steps, closing = report["steps"], _closing(report["steps"])
    for record in _deadlocks(report):
        is_before_closing = record["after"] <= closing
        if _aborts(steps[record["after"] : closing if is_before_closing else None]):
            continue
        left = report["still" if is_before_closing else "waits"]
        waiting = {re.split(r": | awaits ", wait)[0] for wait in left}
        for wait in record["waits"]:
            waiter = _ROLE.match(wait)
            who = waiter and (waiter["tool"] or f"{waiter['agent']}.{waiter['method']}")
            if who and who not in waiting:
                yield f"false alarm: {who} goes on, though the record has: {wait}"


def _reported_twice(report: Outcome) -> Iterator[str]:
    """Yield the deadlocks that were reported before, unless something was aborted meanwhile."""
    for first, second in itertools.combinations(_deadlocks(report), 2):
        is_alike = first["says"] == second["says"] and not set(first["waits"]).isdisjoint(second["waits"])
        if is_alike and not _aborts(report["steps"][first["after"] : second["after"]]):
            yield f"reported twice: {second['says']}"


def _unreported(report: Outcome) -> Iterator[str]:
    """A change of the agent that hangs is named by a record, before the session is closed and after that."""
    closing = _closing(report["steps"])
    ends = report["changes"] if report["ended"] == "hangs" else report["changes"][:1]  # else they may be about to end
    for number, changes in enumerate(ends):
        records = [record for record in report["log"] if number or record["after"] <= closing]
        texts = " ".join(text for record in records for text in (record["says"], *record["waits"]))
        for change in sorted(set(changes)):
            if not re.search(_NAMES_OF_CHANGES[change], texts):
                yield f"unreported: {change} hangs {'at the end' if number else 'before the session is closed'}"


def _closing(steps: list[str]) -> int:
    return steps.index("closing the session awaits") if "closing the session awaits" in steps else len(steps)


def digest(outcome: Outcome) -> str:
    """Return something short that is the same where the same has happened."""
    happened = [outcome["ended"], sorted(outcome["steps"]), sorted(outcome["waits"])]
    return hashlib.sha256(json.dumps(happened).encode()).hexdigest()[:12]


def kinds(played: Outcomes) -> Iterator[str]:
    """Yield what is to be counted of a program, whether it is as it must be or not."""
    report = played["report"]
    left_waiting = "left waiting" if report["waits"] else "nobody left waiting"
    yield left_waiting + (", deadlock reported" if _deadlocks(report) else "")
    if report["waits"] and not played.get("resolve", report)["waits"]:
        yield "resolved"
