"""What came out of all releases and the guard agree, it is told of every scenario, and the page is made of it.

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


def way(scenario: str, row: str) -> Any:
    """Return how a scenario ended on a row."""
    (way,) = (way for way in RESULTS["scenarios"][scenario]["ended"] if row in way["on"])
    return way


@pytest.mark.parametrize("row", RESULTS["rows"])
def test_guard_calls_a_release_affected_if_and_only_if_the_pattern_hangs_on_it(row: str) -> None:
    affected = _guard.FIRST_AFFECTED <= Version(row.split()[0]) < _guard.FIRST_FIXED
    pattern, about = way(data.PATTERN, row), RESULTS["rows"][row]
    assert pattern["without"] == ("hangs" if affected else "completes")
    assert pattern["with"] == "completes"
    assert about["state"] == ("patched" if affected else "fixed-upstream")
    assert about["functions"] == ("wrapped" if affected else "its own")


def test_both_ends_of_the_guards_range_were_played() -> None:
    releases = {Version(row) for row in RESULTS["rows"] if " " not in row}
    assert min(releases) == _guard.FIRST_AFFECTED
    assert _guard.FIRST_FIXED in releases


def test_all_is_as_promised() -> None:
    assert RESULTS["problems"] == []


def test_every_scenario_was_played_on_the_boundary_releases() -> None:
    there_are = scenarios().keys()
    assert RESULTS["scenarios"].keys() == there_are
    for name in there_are:
        for release in data.BOUNDARIES:
            assert way(name, release)


@pytest.mark.parametrize("scenario", RESULTS["scenarios"])
def test_every_scenario_ends_on_1_3_5_with_the_shim_as_on_the_release_with_the_fix(scenario: str) -> None:
    ways = [way for way in RESULTS["scenarios"][scenario]["ended"] if "1.3.5" in {row.split()[0] for row in way["on"]}]
    assert all(way["same"] for way in ways)


def test_the_page_is_what_the_results_make() -> None:
    assert data.PAGE.read_text(encoding="utf-8") == page.page(RESULTS)


def test_every_row_of_a_table_is_as_long_as_its_head() -> None:
    told = page.page(results.with_some(NOTHING, [played("1.3.5"), played("1.3.6")], REFERENCE, [ABORTED], []))
    for text in (told, page.page(RESULTS)):
        tables = re.findall(r"(?m)(?:^\|.*\n)+", text)
        assert len(tables) >= 6
        for table in tables:
            assert len({line.count(" | ") for line in table.splitlines()}) == 1, table


# What a run of two scenarios is, as far as it is the same for all. No page and no promise is made of anything else.
NOTHING = {"date": "", "shim": "", "machine": "", "rows": {}, "not_played": {}, "scenarios": {}, "problems": []}
SCENARIOS = (data.PATTERN, ABORTED)
DEADLOCK, LET_GO = {"level": "ERROR", "lines": [True]}, {"level": "WARNING", "lines": []}


def run(release: str, state: str, detection: str, log: list[Any]) -> dict[str, Any]:
    is_patched = state == "patched"
    functions = dict.fromkeys(promise.OF_THE_FIX, "wrapped" if is_patched else "its own")
    functions["AgentActivity.update_chat_ctx"] = "its own"  # on every release that is played here
    functions["AgentActivity.pause"] = "its own" if detection == "off" else "wrapped"
    ended = "hangs" if state == "off" and release == "1.3.5" else "completed"
    return {
        **{"livekit_agents": release, "python": "3.11.7", "wrapt": "2.0.0", "wrapt_extension": True, "shim": "0.1.0"},
        **{"state": state, "detection": detection, "functions": functions},
        "scenarios": dict.fromkeys(SCENARIOS, "What it is."),
        "declared": {data.PATTERN: {}, ABORTED: {"aborted": True}},
        "outcomes": {
            data.PATTERN: {"ended": ended, "waits": [], "steps": []},
            ABORTED: {"ended": "completed", "waits": [], "steps": []},
        },
        "log": {data.PATTERN: [], ABORTED: log},
    }


def played(release: str, report: Any = (DEADLOCK,), resolve: Any = (DEADLOCK, LET_GO)) -> Played:
    state = "patched" if release == "1.3.5" else "fixed-upstream"
    return Played(
        data.Row(release),
        without=run(release, "off", "off", []),
        default=run(release, state, "off", []),
        report=run(release, state, "report", list(report)),
        resolve=run(release, state, "resolve", list(resolve)),
    )


REFERENCE = played("1.3.6").without


def test_what_is_declared_to_be_aborted_must_be_reported_and_resolved_before_that() -> None:
    for release in ("1.3.5", "1.3.6"):
        assert list(promise.violations(played(release), REFERENCE)) == []
        assert list(promise.violations(played(release, report=[]), REFERENCE)) == [
            f"{ABORTED} is deadlocked until it is aborted, and is not reported"
        ]
        assert list(promise.violations(played(release, resolve=[DEADLOCK]), REFERENCE)) == [
            f"{ABORTED} is not resolved before it is aborted"
        ]


def test_fix_must_not_wrap_what_needs_it_on_earlier_releases_only() -> None:
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
    rows = [played("1.3.6"), played("1.3.7"), played("1.3.8")]
    known = results.of_everything(rows, REFERENCE, {}, [])
    recorded = results.with_some(known, rows[1:2], REFERENCE, [ABORTED], [])
    assert page.summary(known, ["1.3.6", "1.3.7", "1.3.8"]).count("\n") == 3  # the head, a line, and one row
    assert page.summary(recorded, ["1.3.6", "1.3.7", "1.3.8"]).count("\n") == 3
    assert f"not counted in the first two tables: `{ABORTED}`\n" in page.page(recorded)


def test_first_record_is_all_that_is_known() -> None:
    recorded = results.with_some(NOTHING, [played("1.3.6")], REFERENCE, [ABORTED], [])
    assert recorded["scenarios"].keys() == set(SCENARIOS)
    assert (recorded["shim"], recorded["rows"].keys()) == ("0.1.0", {"1.3.6"})
