"""Rules for any program: the outcomes of the same program in several modes are compared with each other."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

_ROLE = re.compile(r"the tool (?P<tool>\w+)|(?P<method>on_enter|on_exit|on_user_turn_completed)\(\) of (?P<agent>\w+)")
_ABORT = re.compile(r" gets \w*(Error|Exception)\b|: (interrupts|closes)$|: drain awaits|^closing the session awaits$")

# what the functions that change the agent, or close the session, are called in a record
_NAMES_OF_CHANGES = {
    "pause": "handoff",
    "drain": r"session\.(update_agent|drain|aclose)\(|the close|handoff",
    "aclose": r"session\.update_agent\(|close|handoff",  # of an activity, which others do on their way
    "_aclose_impl": r"session\.aclose\(\)|the close of the session",
}

# what is waited for that nobody can say who completes, or who has it
_NOT_SEEN = re.compile(r": (event|in_lock_of_generator|in_semaphore)")

Outcomes = dict[str, dict[str, Any]]  # by mode: bare (no fix), off, report, resolve; others are off once more


def violations(played: Outcomes) -> Iterator[str]:
    """Yield the rules that the outcomes of a program violate."""
    off, report, resolve = (played[mode] for mode in ("off", "report", "resolve"))
    for mode, outcome in played.items():
        for record in outcome["log"]:
            if not record["waits"]:
                yield f"crash: in the mode {mode}: {record['says']}"
        for line in outcome.get("cycle", ()):
            if line.startswith("error"):
                yield f"crash: of cycle() in the mode {mode}: {line}"
    as_off = [off, *(outcome for mode, outcome in played.items() if mode.startswith("off again"))]
    if not any(is_the_same(report, one) for one in as_off):
        yield "touched: the mode report changes what happens"
    yield from _false_alarms(report)
    yield from _untold(report)
    yield from _reported_twice(report)
    # where a time-out ended one deadlock, the program may come to another one instead, which is told then
    is_told_last = resolve["log"] and _deadlocks(resolve)[-1:] == resolve["log"][-1:]
    comes_to_another = is_told_last and any(map(_ABORT.search, off["steps"]))
    if _is_clean(off) and not _is_clean(resolve) and not comes_to_another:
        yield "harm: it completes without resolve, and not with it"
    if not _deadlocks(resolve) and not _let_go(resolve) and not any(is_the_same(resolve, one) for one in as_off):
        yield "harm: resolve says nothing, and changes what happens"
    bare = played.get("bare", off)
    if _is_clean(bare) and not any(map(_ABORT.search, bare["steps"])) and not _is_clean(off):
        yield "harm: it completes without the fix, and not with it"


def is_the_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether the same has happened. What happens at the same moment has no order, as tasks in a set have none."""
    return one["ended"] == other["ended"] and sorted(one["steps"]) == sorted(other["steps"])


def _is_clean(outcome: dict[str, Any]) -> bool:
    return outcome["ended"] == "completed" and not outcome["waits"] and not outcome["still"]


def _deadlocks(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for record in outcome["log"] if record["level"] == "ERROR"]


def _let_go(outcome: dict[str, Any]) -> bool:
    return any("no longer waits" in record["says"] for record in outcome["log"])


def _false_alarms(report: dict[str, Any]) -> Iterator[str]:
    """Who is called deadlocked waits until the end, unless something was aborted after that."""
    steps = report["steps"]
    closing = _closing(steps)
    for record in _deadlocks(report):
        before_closing = record["after"] <= closing
        later = steps[record["after"] : closing] if before_closing else steps[record["after"] :]
        if any(map(_ABORT.search, later)):
            continue
        left = report["still"] if before_closing else report["waits"]
        waiting = {re.split(r": | awaits ", wait)[0] for wait in left}
        for wait in record["waits"]:
            waiter = _ROLE.match(wait)
            who = waiter and (waiter["tool"] or f"{waiter['agent']}.{waiter['method']}")
            if who and who not in waiting:
                yield f"false alarm: {who} goes on, though it is told that {wait}"


def _reported_twice(report: dict[str, Any]) -> Iterator[str]:
    """Yield the deadlocks that were reported before, unless something was aborted meanwhile."""
    for first, second in itertools.combinations(_deadlocks(report), 2):
        is_alike = first["says"] == second["says"] and not set(first["waits"]).isdisjoint(second["waits"])
        if is_alike and not any(map(_ABORT.search, report["steps"][first["after"] : second["after"]])):
            yield f"reported twice: {second['says']}"


def _untold(report: dict[str, Any]) -> Iterator[str]:
    """A change of the agent that hangs is named by a record, before the session is closed and after that."""
    closing = _closing(report["steps"])
    looks = report["changes"] if report["ended"] == "hangs" else report["changes"][:1]  # else they may be about to end
    for number, changes in enumerate(looks):
        records = [record for record in report["log"] if number or record["after"] <= closing]
        told = " ".join(text for record in records for text in (record["says"], *record["waits"]))
        for change in sorted(set(changes)):
            if not re.search(_NAMES_OF_CHANGES[change], told):
                yield f"untold: {change} hangs {'at the end' if number else 'before the session is closed'}"


def _closing(steps: list[str]) -> int:
    return steps.index("closing the session awaits") if "closing the session awaits" in steps else len(steps)


def digest(outcome: dict[str, Any]) -> str:
    """Return something short that is the same where the same has happened."""
    happened = [outcome["ended"], sorted(outcome["steps"]), sorted(outcome["waits"])]
    return hashlib.sha256(json.dumps(happened).encode()).hexdigest()[:12]


def kinds(played: Outcomes) -> Iterator[str]:
    """Yield what is to be counted of a program, whether it is as it must be or not."""
    report, resolve = played["report"], played["resolve"]
    told = {record["level"] for record in report["log"]}
    if not report["waits"]:
        yield "nobody left waiting" + (", deadlock told" if "ERROR" in told else "")
        return
    yield "left waiting"
    if told:
        yield "left waiting, deadlock told" if "ERROR" in told else "left waiting, only a warning"
        can_be_seen = not any(map(_NOT_SEEN.search, report["waits"]))
        if "ERROR" not in told and can_be_seen and any(report["changes"]):
            yield "left waiting for no event, only a warning"
    if not resolve["waits"]:
        yield "resolved"
