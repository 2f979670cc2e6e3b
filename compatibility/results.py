"""Read and write results.json: the outcomes, by row and by scenario. The page and tests are based on it.

date, shim, machine: of the last run that played everything.
rows: what each was, by its name: ``python``, ``wrapt``, ``state`` and, where nobody has asked for detection,
    ``functions`` (``its own`` or ``wrapped``).
not_played: why others were not, by the name of the row.
scenarios: the sentence of each (``what``), what is ``declared`` of it, and how it ended (``ended``), each way with
    the rows that it ended so ``on``:
    without, with: in a word, without the shim and with it.
    same: whether all that was noted with the shim is what was noted without it, or on affected releases on 1.3.6.
    reported: whether a deadlock was logged. resolve: how it ended in that mode, where it was played in it.
    why: where an affected release ends otherwise than 1.3.6, the first step that is another one.
problems: what is not as promised.
"""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .data import FIRST_FIXED, PATTERN, RESULTS, UPSTREAM, Row
from .play import Played
from .promise import OF_THE_FIX, ended, is_affected, is_reported, own_hangs, wrapped_by_the_fix

Results = dict[str, Any]


def read() -> Results:
    """Return what is known, which is nothing yet where nothing was played."""
    if not RESULTS.exists():
        return {"date": "", "shim": "", "machine": "", "rows": {}, "not_played": {}, "scenarios": {}, "problems": []}
    results: Results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def of_everything(
    played: Sequence[Played], reference: Mapping[str, Any], not_played: Mapping[Row, str], problems: Sequence[str]
) -> Results:
    """Return the results of a run that has played all scenarios on all rows."""
    return {
        **_about_the_run(reference),
        "rows": {str(one.row): _about(one) for one in played},
        "not_played": {str(row): why for row, why in not_played.items()},
        "scenarios": _scenarios(played, reference, reference["scenarios"]),
        "problems": list(problems),
    }


def with_some(
    results: Results,
    played: Sequence[Played],
    reference: Mapping[str, Any],
    named: Iterable[str],
    problems: Sequence[str],
) -> Results:
    """Return the results with what came out of some scenarios on some rows, instead of what is known of these."""
    named = set(named) | {PATTERN} - results["scenarios"].keys()  # which is played in any case
    rows = {**results["rows"], **{str(one.row): _about(one) for one in played}}
    scenarios = {**results["scenarios"], **_scenarios(played, reference, sorted(named))}
    others, played_rows = results["scenarios"].keys() - named, {str(one.row) for one in played}

    def is_outdated(problem: str) -> bool:
        row, _, what = problem.partition(": ")
        words = set(what.split())
        return bool(words & named) or (row in played_rows and not words & others)

    kept = [problem for problem in results["problems"] if not is_outdated(problem)]
    new = {**results, "rows": rows, "scenarios": scenarios, "problems": list(dict.fromkeys([*kept, *problems]))}
    if not results["rows"]:
        new.update(_about_the_run(reference))
    return new


def write(results: Results, outcomes: Mapping[str, Any], *, instead: bool) -> None:
    """Write the results, and how bare 1.3.6 ended them: ``instead`` of all that was known, or besides."""
    # a line for each way in which a scenario ended, as a diff is read by lines
    text = json.dumps(results, indent=1)
    for on in {json.dumps(way["on"], indent=1) for one in results["scenarios"].values() for way in one["ended"]}:
        text = text.replace(on.replace("\n", "\n     "), json.dumps(json.loads(on)))
    RESULTS.write_text(text + "\n", encoding="utf-8")
    known = {} if instead else json.loads(UPSTREAM.read_text(encoding="utf-8"))
    UPSTREAM.write_text(json.dumps({**known, **outcomes}, indent=1) + "\n", encoding="utf-8")


def _about_the_run(reference: Mapping[str, Any]) -> dict[str, str]:
    date = datetime.datetime.now(datetime.timezone.utc).date()
    return {"date": str(date), "shim": reference["shim"], "machine": platform.platform()}


def _about(played: Played) -> dict[str, str]:
    default = played.default
    functions = wrapped_by_the_fix(played.row.release) or OF_THE_FIX
    extension = "" if default["wrapt_extension"] else ", no C extension"
    return {
        "python": default["python"],
        "wrapt": default["wrapt"] + extension,
        "state": default["state"],
        "functions": "/".join(sorted({default["functions"][name] for name in functions})),
    }


def _scenarios(played: Sequence[Played], reference: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {
        name: {
            "what": reference["scenarios"][name],
            "declared": reference["declared"][name],
            "ended": _ways(played, reference, name),
        }
        for name in names
    }


def _ways(played: Sequence[Played], reference: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    ways: dict[str, dict[str, Any]] = {}
    for one in played:
        way = _way(one, reference["outcomes"][name], name)
        ways.setdefault(json.dumps(way), {**way, "on": []})["on"].append(str(one.row))
    return list(ways.values())


def _way(played: Played, fixed: Mapping[str, Any], name: str) -> dict[str, Any]:
    affected = is_affected(played.row.release)
    without, shim = played.without["outcomes"][name], played.report["outcomes"][name]
    way = {"without": ended(without), "with": ended(shim), "same": shim == (fixed if affected else without)}
    if is_reported(played.report["log"][name]):
        way["reported"] = True
    if name in played.resolve["outcomes"]:
        way["resolve"] = ended(played.resolve["outcomes"][name])
    if affected and ended(shim) != ended(fixed):
        why = shim["ended"] if ended(shim) == "error" else _first_difference(shim, fixed)
        way["why"] = own_hangs(played.row.release).get(name, why)
    return way


def _first_difference(found: Mapping[str, Any], fixed: Mapping[str, Any]) -> str:
    """Say which step is the first that is not as on 1.3.6."""
    steps = zip([*found["steps"], "nothing more"], [*fixed["steps"], "nothing more"])
    ours, theirs = next(((ours, theirs) for ours, theirs in steps if ours != theirs), ("", ""))
    return f"*{ours}*, and on {FIRST_FIXED} *{theirs}*" if ours else "the same steps"
