"""The results of all releases are as promised, the guard agrees with them, and the page is generated from them.

``compatibility/results.json`` is written by ``nox -s compatibility``, and in part by ``nox -s record``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from scenarios import scenarios

from onenter_deadlock_fix import _guard

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

# no package that is installed
from compatibility import data, page, promise, results  # noqa: E402
from compatibility.play import Played  # noqa: E402

RESULTS = results.read()
ABORTED = "ends_with_a_time_out"


def test_results_are_as_promised_and_the_guard_agrees_with_them() -> None:
    assert RESULTS["problems"] == []
    rows = {row: Version(row.split()[0]) for row in RESULTS["rows"]}
    affected = {row for row, version in rows.items() if _guard.FIRST_AFFECTED <= version < _guard.FIRST_FIXED}
    ways = RESULTS["scenarios"][data.PATTERN]["ended"]
    hangs = {row for way in ways if way["without"] == "hangs" for row in way["on"]}
    assert hangs == affected == {row for row, about in RESULTS["rows"].items() if about["state"] == "patched"}
    assert min(rows.values()) == _guard.FIRST_AFFECTED
    assert _guard.FIRST_FIXED in rows.values()


def test_every_scenario_was_played_on_the_boundary_releases() -> None:
    assert RESULTS["scenarios"].keys() == scenarios().keys()
    for name, results_of_it in RESULTS["scenarios"].items():
        rows = [row for way in results_of_it["ended"] for row in way["on"]]
        assert {*data.BOUNDARIES} <= {*rows}, name
        assert len({*rows}) == len(rows), name


def test_page_is_generated_from_the_results() -> None:
    assert data.PAGE.read_text(encoding="utf-8") == page.page(RESULTS)


def test_rows_of_a_table_are_as_long_as_its_head() -> None:
    recorded = results.with_some(NOTHING, [played("1.3.5"), played("1.3.6")], REFERENCE, [ABORTED], [])
    for text in (page.page(recorded), page.page(RESULTS)):
        tables = re.findall(r"(?m)(?:^\|.*\n)+", text)
        assert len(tables) >= 6
        for table in tables:
            assert len({line.count(" | ") for line in table.splitlines()}) == 1, table


# A run of two scenarios, with what the page and the promises depend on.
NOTHING = {"date": "", "shim": "", "machine": "", "rows": {}, "not_played": {}, "scenarios": {}, "problems": []}
SCENARIOS = (data.PATTERN, ABORTED)
DEADLOCK, RELEASE = {"level": "ERROR", "lines": [True]}, {"level": "WARNING", "lines": []}


def run(release: str, state: str, detection: str, log: list[Any]) -> dict[str, Any]:
    functions = dict.fromkeys(promise.OF_THE_FIX, "wrapped" if state == "patched" else "its own")
    functions["AgentActivity.update_chat_ctx"] = "its own"  # on every release that is played here
    functions["AgentActivity.pause"] = "its own" if detection == "off" else "wrapped"
    ended = "hangs" if state == "off" and release == "1.3.5" else "completed"
    outcomes = {name: {"ended": "completed", "waits": [], "steps": []} for name in SCENARIOS}
    return {
        **{"livekit_agents": release, "python": "3.11.7", "wrapt": "2.0.0", "wrapt_extension": True, "shim": "0.1.0"},
        **{"state": state, "detection": detection, "functions": functions},
        "scenarios": dict.fromkeys(SCENARIOS, "A sentence."),
        "declared": {data.PATTERN: {}, ABORTED: {"aborted": True}},
        "outcomes": {**outcomes, data.PATTERN: {**outcomes[data.PATTERN], "ended": ended}},
        "log": {data.PATTERN: [], ABORTED: log},
    }


def played(release: str, report: Any = (DEADLOCK,), resolve: Any = (DEADLOCK, RELEASE)) -> Played:
    state = "patched" if release == "1.3.5" else "fixed-upstream"
    return Played(
        data.Row(release),
        without=run(release, "off", "off", []),
        default=run(release, state, "off", []),
        report=run(release, state, "report", list(report)),
        resolve=run(release, state, "resolve", list(resolve)),
    )


REFERENCE = played("1.3.6").without


@pytest.mark.parametrize("release", ["1.3.5", "1.3.6"])
def test_aborted_scenario_must_be_reported_and_resolved_before_that(release: str) -> None:
    not_reported = f"{ABORTED} is deadlocked until it is aborted, and is not reported"
    not_resolved = f"{ABORTED} is not resolved before it is aborted"
    assert list(promise.violations(played(release), REFERENCE)) == []
    assert list(promise.violations(played(release, report=[]), REFERENCE)) == [not_reported]
    assert list(promise.violations(played(release, resolve=[DEADLOCK]), REFERENCE)) == [not_resolved]


def test_fix_must_not_wrap_what_only_earlier_releases_need() -> None:
    later = played("1.3.5")
    later.default["functions"]["AgentActivity.update_chat_ctx"] = "wrapped"
    assert list(promise.violations(later, REFERENCE)) == ["AgentActivity.update_chat_ctx: wrapped, not its own"]


def test_recording_a_scenario_leaves_what_is_known_of_the_others() -> None:
    rows = [played("1.3.5"), played("1.3.6")]
    problems = [f"1.3.5: {data.PATTERN} hangs", f"1.3.6: {ABORTED} hangs", "1.3.6: state: off, not fixed-upstream"]
    known = results.of_everything(rows, REFERENCE, {}, problems)
    recorded = results.with_some(known, rows[1:], REFERENCE, [ABORTED], [f"1.3.6: {ABORTED} is not reported"])
    assert recorded["rows"].keys() == {"1.3.5", "1.3.6"}
    assert [way["on"] for way in recorded["scenarios"][data.PATTERN]["ended"]] == [["1.3.5"], ["1.3.6"]]
    assert [way["on"] for way in recorded["scenarios"][ABORTED]["ended"]] == [["1.3.6"]]
    assert recorded["problems"] == [f"1.3.5: {data.PATTERN} hangs", f"1.3.6: {ABORTED} is not reported"]


def test_recording_a_scenario_splits_no_row_of_the_page() -> None:
    releases = ["1.3.6", "1.3.7", "1.3.8"]
    known = results.of_everything([played(release) for release in releases], REFERENCE, {}, [])
    recorded = results.with_some(known, [played("1.3.7")], REFERENCE, [ABORTED], [])
    for known_results in (known, recorded):
        assert page.summary(known_results, releases).count("\n") == 3  # the head, a line, and one row
    assert f"not counted in the first two tables: `{ABORTED}`\n" in page.page(recorded)
