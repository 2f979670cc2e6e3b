"""COMPATIBILITY.md and the guard say the same of every release, and the page tells of every scenario there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.version import Version

from onenter_deadlock_fix import _guard

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "COMPATIBILITY.md"


def rows_below(heading: str) -> list[dict[str, str]]:
    """Return the rows of the table below a heading, by the names of their columns."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return [dict(zip(head, row)) for row in rows]


RELEASES = rows_below("Releases")


@pytest.mark.parametrize("row", RELEASES, ids=[row["Release"] for row in RELEASES])
def test_guard_calls_a_release_affected_if_and_only_if_the_pattern_hangs_on_it(row: dict[str, str]) -> None:
    affected = _guard.FIRST_AFFECTED <= Version(row["Release"]) < _guard.FIRST_FIXED
    assert row["Pattern without"] == ("deadlock" if affected else "completed")
    assert row["Pattern with"] == "completed"
    assert row["State"] == ("patched" if affected else "fixed-upstream")
    assert row["Functions"] == ("wrapped" if affected else "its own")


def test_table_has_both_ends_of_the_guards_range() -> None:
    releases = {Version(row["Release"]) for row in RELEASES}
    assert min(releases) == _guard.FIRST_AFFECTED
    assert _guard.FIRST_FIXED in releases


def test_nothing_is_told_that_is_not_as_promised() -> None:
    assert "Not as promised" not in PAGE.read_text(encoding="utf-8")


def test_every_scenario_ends_with_the_shim_as_on_the_release_with_the_fix() -> None:
    sources = (ROOT / "tests" / "scenarios").glob("*.py")
    there_are = {
        name for file in sources for name in re.findall(r"(?ms)^@scenario\b.*?^async def (\w+)", file.read_text())
    }
    rows = rows_below("Parity with 1.3.6")
    assert {row["Scenario"].strip("`") for row in rows} == there_are
    assert {row["Compared"] for row in rows} == {"same"}
