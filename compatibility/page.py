"""docs/compatibility.md, made of results.json: ``python -m compatibility.page``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from packaging.version import Version

from onenter_deadlock_fix.environment.pins import pins

from .data import FIRST_FIXED, PAGE, PATTERN
from .results import Results, read

_HEAD = """\
# Compatibility

Made by `nox -s page` of `compatibility/results.json`, which `nox -s compatibility` has written on {date}.

- onenter-deadlock-fix {shim}; {count} scenarios (`tests/scenarios/`), each without the shim, and with it and with
  detection in the mode `report`; those that hang somewhere in the mode `resolve` as well
- livekit-agents: all {releases} releases from 1.2.0 on that the package index listed, pre-releases included
- Python {pythons}; wrapt {wrapts}; {machine}
"""

_RECORDED = """\
- played since then on the boundary releases only, and not counted in the first two tables: {names}
"""

_RELEASES = """\
## Releases

*Pattern* is `on_enter` -> `generate_reply` -> tool -> `AgentTask`. *Functions* says whether the library's functions are
its own where nobody has asked for detection. *As it should* says how many scenarios end, step by step, with the shim
and detection as they end without (releases that have the fix), or as they end on {fixed} without (releases that the
shim patches). *Hang* says how many hang all the same, as upstream has no cure for them; how many of these are reported
as a deadlock, and how many complete in the mode `resolve`.

"""

_BOUNDARIES = """
### What changes where

- **1.2.0** is the first release with a public `AgentTask`. Three waits make the pattern hang, and the shim takes all
  three out.
- **1.2.3 / 1.2.4**: the coming back from an `AgentTask` no longer waits for `on_enter` of the agent that it comes back
  to. [livekit/agents #3090](https://github.com/livekit/agents/pull/3090).
- **1.2.5 / 1.2.6**: a handoff no longer holds the session's lock while it waits for `on_enter` of the new agent, so
  an `AgentTask` can be awaited meanwhile. [livekit/agents #3155](https://github.com/livekit/agents/pull/3155).
- **1.3.5 / 1.3.6**: the handoff no longer waits for `on_enter` of the old agent.
  [livekit/agents #4113](https://github.com/livekit/agents/pull/4113), which closes
  [#4109](https://github.com/livekit/agents/issues/4109). From here on the shim leaves the library alone.

"""

_OTHERS = """\
## Other Pythons, other releases of wrapt

"""

_HANGS = """
## What hangs all the same

Upstream's open deadlocks, and what detection makes of them, by release.

"""

_ABORTED = """
## What is deadlocked until something aborts it

A time-out, a cancellation or a failure ends these, on every release. *Reported* is before that, and so is *Resolved*.

"""

_LEFT = """
## Who is left waiting

The session can be closed, but a tool or an `on_enter` is never resumed. Upstream's, too.

"""

_OTHERWISE = """
## Where an affected release ends otherwise than 1.3.6

With the shim, by the first step that is another one. What hangs here does so for a reason of the release's own.

"""


def write(results: Results) -> None:
    PAGE.write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """Return the whole of the page."""
    rows = results["rows"]
    releases = [name for name in rows if _is_a_release(name)]
    others = [name for name in rows if not _is_a_release(name)]
    parts = [
        _HEAD.format(
            **{name: results[name] for name in ("date", "shim", "machine")},
            count=len(results["scenarios"]),
            releases=len(releases),
            pythons=", ".join(sorted({row["python"] for row in rows.values()}, key=Version)),
            wrapts=" and ".join(sorted({row["wrapt"] for row in rows.values()})),
        )
    ]
    if _recorded(results):
        parts.append(_RECORDED.format(names=", ".join(f"`{name}`" for name in _recorded(results))))
    parts.append("\n")
    if results["problems"]:
        parts += ["## Not as promised\n\n", *(f"- {problem}\n" for problem in results["problems"]), "\n"]
    parts += [_RELEASES.format(fixed=FIRST_FIXED), summary(results, releases), _BOUNDARIES]
    parts += [_OTHERS, summary(results, others)]
    if results["not_played"]:
        parts += ["\nNot played:\n\n", *(f"- {row}: {why}\n" for row, why in results["not_played"].items())]
    parts += [_HANGS, _made_of(results, releases, hangs=True), _ABORTED, _made_of(results, releases, hangs=False)]
    parts += [_LEFT, _left_waiting(results, releases), _OTHERWISE, _otherwise(results, releases)]
    return "".join(parts)


def summary(results: Results, names: Sequence[str]) -> str:
    """Return a table of rows, where those next to each other that have the same results are one."""
    # What was recorded on some rows only is not counted: the others would be rows of their own for that alone.
    recorded = _recorded(results)
    counted = {name: one for name, one in results["scenarios"].items() if name not in recorded}
    summaries = [(name, _summary(results, counted, name)) for name in names]
    head = (
        "Release",
        "Python",
        "wrapt",
        "Pattern without",
        "Pattern with",
        "State",
        "Functions",
        "As it should",
        "Hang",
        "Beside it",
    )
    rows = []
    for same, group in groupby(summaries, key=lambda one: one[1]):
        of_it = [name for name, _ in group]
        rows.append((_between(of_it) if all(map(_is_a_release, of_it)) else ", ".join(of_it), *same))
    return _table(head, rows)


def _summary(results: Results, counted: dict[str, Any], name: str) -> tuple[str, ...]:
    row = results["rows"][name]
    ways = [way for one in counted.values() for way in one["ended"] if name in way["on"]]
    hang = [way for way in ways if way["with"] == "hangs"]
    (pattern,) = (way for way in results["scenarios"][PATTERN]["ended"] if name in way["on"])
    reported = sum("reported" in way for way in hang)
    resolved = sum(way.get("resolve") == "completes" for way in hang)
    return (
        row["python"],
        row["wrapt"],
        pattern["without"],
        pattern["with"],
        row["state"],
        row["functions"],
        f"{sum(way['same'] for way in ways)} of {len(ways)}",
        f"{len(hang)}: {reported} reported, {resolved} resolved",
        ", ".join(f"`{need}`" for need in pins(Version(name.split()[0]))),
    )


def _recorded(results: Results) -> list[str]:
    """Return the scenarios that were played on some of the rows only, as ``nox -s record`` does."""
    return [
        name
        for name, one in results["scenarios"].items()
        if not results["rows"].keys() <= {row for way in one["ended"] for row in way["on"]}
    ]


def _made_of(results: Results, releases: Sequence[str], *, hangs: bool) -> str:
    """Return what detection makes of what hangs, or of what is declared to end by an abort."""
    rows = []
    for name, one in results["scenarios"].items():
        declared = one["declared"]
        ways = [way for way in one["ended"] if (way["with"] == "hangs" if hangs else "aborted" in declared)]
        on = _on(ways, releases)
        if on:
            reported = _on([way for way in ways if "reported" in way], releases)
            resolved = _on([way for way in ways if way.get("resolve") == "completes"], releases)
            why = next((declared[part] for part in ("reported", "told", "unreported") if part in declared), "")
            where = [_ranges(on, releases)] if hangs else []
            rows.append(
                (f"`{name}`", one["what"], *where, *(_part(part, on, releases) for part in (reported, resolved)), why)
            )
    head = ("Scenario", "What", *(["Hangs on"] if hangs else []), "Reported", "Resolved", "Why not more")
    return _table(head, rows)


def _left_waiting(results: Results, releases: Sequence[str]) -> str:
    rows = [
        (f"`{name}`", one["what"], _ranges(on, releases))
        for name, one in results["scenarios"].items()
        if (on := _on([way for way in one["ended"] if way["with"] == "left waiting"], releases))
    ]
    return _table(("Scenario", "What", "On"), rows)


def _otherwise(results: Results, releases: Sequence[str]) -> str:
    rows = [
        (f"`{name}`", _ranges(on, releases), way["with"], way["why"])
        for name, one in sorted(results["scenarios"].items())
        for way in one["ended"]
        if "why" in way and (on := _on([way], releases))
    ]
    return _table(("Scenario", "On", "Ends", "Why"), rows)


def _is_a_release(row: str) -> bool:
    return " " not in row


def _on(ways: Iterable[dict[str, Any]], releases: Sequence[str]) -> list[str]:
    on = {row for way in ways for row in way["on"]}
    return [release for release in releases if release in on]


def _part(some: Sequence[str], of_these: Sequence[str], releases: Sequence[str]) -> str:
    if len(some) == len(of_these):
        return "yes"
    return _ranges(some, releases) or "no"


def _ranges(some: Sequence[str], releases: Sequence[str]) -> str:
    """Return releases in words, where those between two that are next to each other are not named."""
    runs: list[list[str]] = []
    last = -2
    for number, release in enumerate(releases):
        if release in some:
            if number == last + 1:
                runs[-1].append(release)
            else:
                runs.append([release])
            last = number
    return ", ".join(map(_between, runs))


def _between(run: Sequence[str]) -> str:
    return run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    write(read())
