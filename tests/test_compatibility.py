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

from onenter_deadlock_fix import _guard

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

from compatibility import data, page, results  # noqa: E402  # no package that is installed

RESULTS = results.read()


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
    sources = (ROOT / "tests" / "scenarios").glob("*.py")
    there_are = {
        name for file in sources for name in re.findall(r"(?ms)^@scenario\b.*?^async def (\w+)", file.read_text())
    }
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
