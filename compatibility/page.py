"""COMPATIBILITY.md, and the lines and the table that the command prints."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Sequence
from typing import Any

from packaging.version import Version

from onenter_deadlock_fix.cli.pins import pins

from .data import FIRST_FIXED, LAST_AFFECTED, PATTERN
from .play import Played, Row
from .promise import ended, is_affected, is_reported, own_hangs

_HEAD = """\
# Compatibility

Written by `nox -s compatibility` on {date}, from the runs of that command and from nothing else.

- onenter-deadlock-fix {version}; {count} scenarios (`tests/scenarios/`), each without the shim, and with it and with
  detection in the mode `report`; those that hang somewhere in the mode `resolve` as well
- livekit-agents: all {releases} releases from 1.2.0 on that the package index listed, pre-releases included
- Python {pythons}
- wrapt {wrapts}
- {machine}

"""

_RELEASES = """\
## Releases

Each in an environment of its own. *Pattern* is `on_enter` -> `generate_reply` -> tool -> `AgentTask`. *Functions* says
whether the library's functions are its own where nobody has asked for detection. *Scenarios* says how many of all end,
with the shim and detection in the mode `report`, exactly as they end without either (releases that have the fix), or as
they end on 1.3.6 without either (releases that the shim patches). *Detection* says how many hang then, how many of
these are reported as a deadlock, and how many complete in the mode `resolve`; what completes is nowhere reported as
one. *Beside it* is what the release needs to be installed today.

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

_OTHERS = """
## Pythons and wrapt

The same, with {release} and 1.2.0.

"""

_PARITY = """
## Parity with 1.3.6

Scenario by scenario: {last} without the shim, {last} with it, and {fixed} without it. *Same* means that everything
that was noted is the same: the steps and their order, results, exceptions, the chat context, the last agent, and who
still waits for whom.

"""

_UPSTREAM = """
## What hangs on 1.3.6 itself

Upstream's open deadlocks: the shim does not fix them. *Left waiting* means that the session can be closed, but a tool
or an `on_enter` is never resumed.

"""

_DETECTION = """
## What detection makes of it

Of the scenarios that hang on 1.3.6 or on the newest release. Those that are *resolved* are so on every release that
they hang on.

"""

_AFFECTED = """
## Where another affected release ends otherwise than 1.3.6

With the shim, by how the scenario ends, and the first step that is another one than on 1.3.6. Those that hang do so
for a reason of the release's own.

"""


def line(played: Played) -> str:
    """Say in a line what came out of a row."""
    without, shim = (ended(one["outcomes"][PATTERN]) for one in (played.without, played.default))
    return f"the pattern {without} without the shim, {shim} with it; {played.default['state']}; {_detection(played)}"


def table(played: Iterable[Played], reference: dict[str, Any]) -> str:
    """Return a row for each that was played."""
    rows = []
    for one in played:
        affected = is_affected(one.row.release)
        compared, to = (reference, FIRST_FIXED) if affected else (one.without, "without")
        outcomes = one.report["outcomes"]
        same = sum(outcome == compared["outcomes"][name] for name, outcome in outcomes.items())
        rows.append(
            (
                one.row.release,
                one.default["python"],
                one.default["wrapt"] + ("" if one.default["wrapt_extension"] else ", no C extension"),
                one.without["outcomes"][PATTERN]["ended"],
                one.default["outcomes"][PATTERN]["ended"],
                one.default["state"],
                "/".join(sorted(set(one.default["functions"].values()))),
                f"{same} of {len(outcomes)} as {to}",
                _detection(one),
                ", ".join(f"`{need}`" for need in pins(Version(one.row.release))),
            )
        )
    head = ("Release", "Python", "wrapt", "Pattern without", "Pattern with", "State", "Functions", "Scenarios")
    return _table((*head, "Detection", "Beside it"), rows)


def _detection(played: Played) -> str:
    hanging = [name for name, outcome in played.report["outcomes"].items() if ended(outcome) == "hangs"]
    reported = sum(is_reported(played, name) for name in hanging)
    resolved = sum(_is_resolved(played, name) for name in hanging)
    return f"{len(hanging)} hang: {reported} reported, {resolved} resolved"


def _is_resolved(played: Played, name: str) -> bool:
    return name in played.resolve["outcomes"] and ended(played.resolve["outcomes"][name]) == "completes"


def page(played: Sequence[Played], reference: dict[str, Any], problems: Sequence[str]) -> str:
    """Return the whole of COMPATIBILITY.md."""
    releases = [one for one in played if one.row == Row(one.row.release)]
    others = [one for one in played if one not in releases]
    newest = max((one for one in releases if not Version(one.row.release).is_prerelease), key=_version)
    last, fixed = (next(one for one in releases if one.row.release == name) for name in (LAST_AFFECTED, FIRST_FIXED))
    parts = [
        _HEAD.format(
            date=datetime.datetime.now(datetime.timezone.utc).date(),
            version=reference["shim"],
            count=len(reference["outcomes"]),
            releases=len(releases),
            pythons=", ".join(sorted({one.default["python"] for one in played}, key=Version)),
            wrapts=", ".join(sorted({one.default["wrapt"] for one in played}, key=Version))
            + "; with its C extension and without",
            machine=platform.platform(),
        )
    ]
    if problems:
        parts += ["## Not as promised\n\n", *(f"- {problem}\n" for problem in problems), "\n"]
    parts += [_RELEASES, table(releases, reference), _BOUNDARIES]
    parts += [_OTHERS.format(release=LAST_AFFECTED).lstrip("\n"), table(others, reference)]
    parts += [_PARITY.format(last=LAST_AFFECTED, fixed=FIRST_FIXED), _parity(last, reference)]
    parts += [_UPSTREAM, _upstream(reference, newest.without), _DETECTION, _made_of_hangs(fixed, newest)]
    parts += [_AFFECTED, _affected(releases, reference)]
    return "".join(parts)


def _parity(last: Played, reference: dict[str, Any]) -> str:
    rows = []
    for name, fixed in reference["outcomes"].items():
        shim = last.report["outcomes"][name]
        rows.append(
            (
                f"`{name}`",
                reference["scenarios"][name],
                ended(last.without["outcomes"][name]),
                ended(shim),
                ended(fixed),
                "same" if shim == fixed else "**differs**",
            )
        )
    return _table(("Scenario", "What", LAST_AFFECTED, "With the shim", FIRST_FIXED, "Compared"), rows)


def _upstream(reference: dict[str, Any], newest: dict[str, Any]) -> str:
    rows = [
        (f"`{name}`", reference["scenarios"][name], ended(fixed), ended(newest["outcomes"][name]))
        for name, fixed in reference["outcomes"].items()
        if ended(fixed) != "completes" or ended(newest["outcomes"][name]) == "hangs"
    ]
    return _table(("Scenario", "What", FIRST_FIXED, newest["livekit_agents"]), rows)


def _made_of_hangs(fixed: Played, newest: Played) -> str:
    rows = []
    for name, what in fixed.report["scenarios"].items():
        on = [played for played in (fixed, newest) if ended(played.report["outcomes"][name]) == "hangs"]
        if on:
            declared = fixed.report["declared"][name]
            reported = [played.row.release for played in on if is_reported(played, name)]
            rows.append(
                (
                    f"`{name}`",
                    what,
                    " and ".join(played.row.release for played in on),
                    "yes" if len(reported) == len(on) else " and ".join(reported) or "no",
                    "yes" if all(_is_resolved(played, name) for played in on) else "no",
                    declared.get("reported") or declared.get("unreported", ""),
                )
            )
    return _table(("Scenario", "What", "Hangs on", "Reported", "Resolved", "Why not more"), rows)


def _affected(releases: Iterable[Played], reference: dict[str, Any]) -> str:
    where: dict[tuple[str, str, str, str], list[str]] = {}
    for one in releases:
        if not is_affected(one.row.release):
            continue
        for name, fixed in reference["outcomes"].items():
            found = one.report["outcomes"][name]
            if ended(found) != ended(fixed):
                reason = found["ended"] if ended(found) == "error" else _first_difference(found, fixed)
                reason = own_hangs(one.row.release).get(name, reason)
                where.setdefault((name, ended(found), ended(fixed), reason), []).append(one.row.release)
    rows = [
        (f"`{name}`", ", ".join(on), found, fixed, reason) for (name, found, fixed, reason), on in sorted(where.items())
    ]
    return _table(("Scenario", "On", "Ends", FIRST_FIXED, "Why"), rows)


def _first_difference(found: dict[str, Any], fixed: dict[str, Any]) -> str:
    """Say which step is the first that is not as on 1.3.6."""
    steps = zip([*found["steps"], "nothing more"], [*fixed["steps"], "nothing more"])
    ours, theirs = next(((ours, theirs) for ours, theirs in steps if ours != theirs), ("", ""))
    return f"*{ours}*, and on {FIRST_FIXED} *{theirs}*" if ours else "the same steps"


def _version(played: Played) -> Version:
    return Version(played.row.release)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
