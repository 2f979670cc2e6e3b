"""Plays the scenarios on releases of livekit-agents, each with and without the shim, and says what came out."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from packaging.version import InvalidVersion, Version

from . import page
from .data import BOUNDARIES, FIRST_FIXED, LAST_AFFECTED, OLDEST_WRAPT, PYTHONS
from .play import NotPlayed, Played, Row, Yanked, build, play, releases
from .promise import broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compatibility", description=__doc__)
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help="the boundary releases without one")
    parser.add_argument("--all", action="store_true", help="every release from 1.2.0 on that the package index lists")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write what came out to FILE, as Markdown")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help=f"write what came out of bare {FIRST_FIXED}, as JSON"
    )
    parser.add_argument(
        "--at-once", type=int, default=(os.cpu_count() or 1) + 1, metavar="N", help="environments at once"
    )
    options = parser.parse_args()
    if options.write and not options.all:
        parser.error("--write needs --all, since the page tells of all releases")
    began = time.monotonic()
    try:
        rows = list(_rows(options.releases, every=options.all))
    except (InvalidVersion, NotPlayed) as error:
        parser.error(str(error))

    played, failed = _play_all(rows, options.at_once)
    reference = next((one.without for one in played if one.row == Row(FIRST_FIXED)), None)
    if reference is None:
        print(f"\n{FIRST_FIXED} was not played, and there is nothing to hold the others against")
        return 1
    for one in played:
        failed.setdefault(one.row, []).extend(broken(one, reference))

    print("\n" + page.table(played, reference))
    print(f"\n{len(played)} of {len(rows)} played in {(time.monotonic() - began) / 60:.1f} minutes")
    problems = [f"{row}: {problem}" for row in rows for problem in failed.get(row, ())]
    print("\n".join([f"{len(problems)} not as promised:", *problems]) if problems else "all as promised")
    if options.write:
        options.write.write_text(page.page(played, reference, problems), encoding="utf-8")
    if options.record:
        options.record.write_text(json.dumps(reference["outcomes"], indent=1) + "\n", encoding="utf-8")
    return 1 if problems else 0


def _rows(named: list[str], *, every: bool) -> Iterator[Row]:
    if named:
        chosen = [str(Version(name)) for name in named]
    else:
        listed = releases()
        newest = max((name for name in listed if not Version(name).is_prerelease), key=Version)
        chosen = listed if every else [*BOUNDARIES, newest]
    yield from map(Row, sorted({*chosen, FIRST_FIXED}, key=Version))  # 1.3.6 is what others are held against
    if named:
        return
    for python in PYTHONS[1:]:
        yield Row(LAST_AFFECTED, python)
    yield Row("1.2.0", "3.9")
    yield Row(LAST_AFFECTED, extension=False)
    yield Row(LAST_AFFECTED, wrapt=OLDEST_WRAPT)
    yield Row(LAST_AFFECTED, wrapt=OLDEST_WRAPT, extension=False)


def _play_all(rows: list[Row], at_once: int) -> tuple[list[Played], dict[Row, list[str]]]:
    """Return what was played, in the order of the rows, and why the others were not."""
    played: dict[Row, Played] = {}
    failed: dict[Row, list[str]] = {}
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(at_once) as pool:
        wheel = build(Path(directory))
        futures = {pool.submit(play, row, wheel): row for row in rows}
        for number, future in enumerate(as_completed(futures), start=1):
            row = futures[future]
            try:
                played[row] = future.result()
                said = page.line(played[row])
            except Yanked:
                rows.remove(row)
                said = "yanked, skipped"
            except Exception as error:  # of this row; the others go on
                failed[row] = [f"not played: {error}"]
                said = failed[row][0]
            print(f"[{number}/{len(futures)}] {row}: {said}", flush=True)
    return [played[row] for row in rows if row in played], failed


if __name__ == "__main__":
    sys.exit(main())
