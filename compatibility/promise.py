"""Compare outcomes with what the project promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from packaging.version import Version

from .data import COMPLETES_ALL_THE_SAME, FIRST_FIXED, LAST_AFFECTED, OWN_HANGS, PATTERN
from .play import Played

Outcome = Record = Mapping[str, Any]
Declared = Mapping[str, Any]

# what the fix wraps, and the first release on which it does not
OF_THE_FIX = {
    "AgentTask._AgentTask__await_impl": FIRST_FIXED,
    "AgentSession._update_activity": FIRST_FIXED,
    "AgentActivity.update_chat_ctx": "1.2.4",
}


def is_affected(release: str) -> bool:
    return Version("1.2.0") <= Version(release) < Version(FIRST_FIXED)


def wrapped_by_the_fix(release: str) -> list[str]:
    """Return the functions that the fix wraps on a release."""
    return [name for name, below in OF_THE_FIX.items() if is_affected(release) and Version(release) < Version(below)]


def ended(outcome: Outcome) -> str:
    """Say in a word how a scenario ended."""
    if outcome["ended"] == "hangs":
        return "hangs"
    if outcome["ended"].startswith("error"):
        return "error"
    return "left waiting" if outcome["waits"] else "completes"


def is_reported(log: Iterable[Record]) -> bool:
    """Say whether something is called a deadlock in the log."""
    return any(record["level"] == "ERROR" for record in log)


def violations(played: Played, reference: dict[str, Any]) -> Iterator[str]:
    """Yield what is not as promised; ``reference`` has the outcomes of 1.3.6 without the shim."""
    release = played.row.release
    for run in (played.without, played.default, played.report, played.resolve):
        if Version(run["livekit_agents"]) != Version(release) or run["wrapt_extension"] != played.row.extension:
            yield f"something else was played: livekit-agents {run['livekit_agents']}, wrapt {run['wrapt']}"
    yield from _violations_by_the_fix(played, reference)
    yield from _violations_by_detection(played)


def _violations_by_the_fix(played: Played, reference: dict[str, Any]) -> Iterator[str]:
    release, without, default = played.row.release, played.without, played.default
    affected = is_affected(release)
    yield from _difference("off", without["state"], "state without the shim")
    yield from _difference("patched" if affected else "fixed-upstream", default["state"], "state")
    for name in without["functions"]:
        yield from _difference("its own", without["functions"][name], f"{name} without the shim")
        yield from _difference(
            "wrapped" if name in wrapped_by_the_fix(release) else "its own", default["functions"][name], name
        )
    pattern = without["outcomes"][PATTERN]["ended"]
    yield from _difference("hangs" if affected else "completed", pattern, "the pattern without the shim")
    yield from _difference("completed", default["outcomes"][PATTERN]["ended"], "the pattern")
    for name, outcome in played.report["outcomes"].items():
        if not affected and outcome != without["outcomes"][name]:
            yield f"{name} differs from what it is without the shim"
        if release == LAST_AFFECTED and outcome != reference["outcomes"][name]:
            yield f"{name} differs from {FIRST_FIXED}"
        if affected and ended(outcome) == "hangs":
            if ended(reference["outcomes"][name]) != "hangs" and name not in own_hangs(release):
                yield f"{name} hangs, and does not on {FIRST_FIXED}"
            if ended(without["outcomes"][name]) != "hangs":
                yield f"{name} hangs, and does not without the shim"


def _violations_by_detection(played: Played) -> Iterator[str]:
    report, resolve = played.report, played.resolve
    yield from _difference("off", played.default["detection"], "mode where nothing asks for one")
    for mode, run in (("report", report), ("resolve", resolve)):
        yield from _difference(mode, run["detection"], "mode")
        for name, function in run["functions"].items():
            if name not in OF_THE_FIX:
                yield from _difference("wrapped", function, f"{name} in the mode {mode}")
    for name, outcome in report["outcomes"].items():
        is_own = name in own_hangs(played.row.release)
        yield from violations_in_report(name, report["declared"][name], outcome, report["log"][name], is_own=is_own)
    for name, outcome in resolve["outcomes"].items():
        yield from violations_in_resolve(name, resolve["declared"][name], outcome, resolve["log"][name])


def violations_in_report(
    name: str, declared: Declared, outcome: Outcome, log: Sequence[Record], *, is_own: bool = False
) -> Iterator[str]:
    """Yield what is not as promised of a scenario in the mode ``report``.

    is_own: whether it hangs for a reason of the release's own.
    """
    is_excused = "aborted" in declared or name in COMPLETES_ALL_THE_SAME
    if ended(outcome) == "completes" and is_reported(log) and not is_excused:
        yield f"{name} completes, and is called a deadlock"
    if ended(outcome) == "hangs" and not is_own:
        if not declared:
            yield f"{name} hangs, and no expectation of detection is declared"
        if not declared.keys() & {"long_wait", "unreported"} and not is_reported(log):
            yield f"{name} hangs, and is not reported"
        if "long_wait" in declared and [record["level"] for record in log] != ["WARNING"]:
            yield f"{name} hangs, and is not reported as one long wait"
    if "aborted" in declared and not is_reported(log):
        yield f"{name} is deadlocked until it is aborted, and is not reported"
    if not all(all(record["lines"]) for record in log if record["level"] == "ERROR"):
        yield f"{name} is reported without a line of the user's own code"


def violations_in_resolve(name: str, declared: Declared, outcome: Outcome, log: Sequence[Record]) -> Iterator[str]:
    """Yield what is not as promised of a scenario in the mode ``resolve``."""
    if "resolved" in declared and ended(outcome) != "completes":
        yield f"{name} is not resolved"
    if "aborted" in declared:
        was_let_go = any(record["level"] == "WARNING" for record in log)
        if not was_let_go or ended(outcome) != "completes":
            yield f"{name} is not resolved before it is aborted"


def own_hangs(release: str) -> dict[str, str]:
    """Return the scenarios that hang on a release for a reason of its own, and the reasons."""
    return {
        name: reason for first, below, name, reason in OWN_HANGS if Version(first) <= Version(release) < Version(below)
    }


def _difference(promised: str, found: str, what: str) -> Iterator[str]:
    if found != promised:
        yield f"{what}: {found}, not {promised}"
