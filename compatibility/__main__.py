"""Play the scenarios on releases of livekit-agents, each with and without the shim, and print the results."""

from __future__ import annotations

import argparse
import os
import queue
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from packaging.version import InvalidVersion, Version

from . import page, results
from .data import FIRST_FIXED, Row, boundaries, every
from .environments import NoPython, NotPlayed, Yanked, releases
from .play import Played, build, play
from .promise import violations


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compatibility", description=__doc__)
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help="the boundary releases without one")
    parser.add_argument("--every", action="store_true", help="on every release from 1.2.0 on, and write the results")
    parser.add_argument("--record", nargs="+", metavar="NAME", help="only these scenarios, and write their results")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, metavar="N", help="environments at once")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        rows = list(_rows(options.releases, all_of_them=options.every))
        played, failed, not_played = _play_all(rows, options.at_once, options.record or ())
    except (InvalidVersion, NotPlayed) as error:
        parser.error(str(error))
    reference = next((one.without for one in played if one.row == Row(FIRST_FIXED)), None)
    if reference is None:
        print(f"\n{FIRST_FIXED} was not played, and the others can't be compared with it")
        return 1
    for one in played:
        failed.setdefault(one.row, []).extend(violations(one, reference))
    problems = [f"{row}: {problem}" for row in rows for problem in failed.get(row, ())]

    if options.record:
        known = results.with_some(results.read(), played, reference, options.record, problems)
        outcomes = {name: reference["outcomes"][name] for name in options.record}
    else:
        known = results.of_everything(played, reference, not_played, problems)
        outcomes = reference["outcomes"]
    if options.every or options.record:
        results.write(known, outcomes, instead=not options.record)
        page.write(known)
    print("\n" + page.summary(known, [str(one.row) for one in played]))
    print(f"{len(played)} of {len(rows)} played in {(time.monotonic() - began) / 60:.1f} minutes")
    print("\n".join([f"{len(problems)} not as promised:", *problems]) if problems else "all as promised")
    return 1 if problems else 0


def _rows(named: Sequence[str], *, all_of_them: bool) -> Iterator[Row]:
    if named:  # and 1.3.6, which the others are compared with
        yield from map(Row, sorted({*(str(Version(name)) for name in named), FIRST_FIXED}, key=Version))
    else:
        yield from (every if all_of_them else boundaries)(releases())


def _play_all(
    rows: Iterable[Row], at_once: int, named: Sequence[str]
) -> tuple[list[Played], dict[Row, list[str]], dict[Row, str]]:
    """Return what was played, in the order of the rows; why others could not be; and why others were not."""
    rows = list(rows)
    played: dict[Row, Played] = {}
    failed: dict[Row, list[str]] = {}
    not_played: dict[Row, str] = {}
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(at_once) as pool:
        wheel = build(Path(directory))
        # an environment for each that runs at once and each Python, which is made one for a release after the other
        places: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(at_once):
            places.put(Path(directory, str(number)))

        def play_somewhere(row: Row) -> Played:
            place = places.get()
            try:
                return play(row, place / row.python, wheel, named)
            finally:
                places.put(place)

        futures = {pool.submit(play_somewhere, row): row for row in rows}
        for number, future in enumerate(as_completed(futures), start=1):
            row, said = futures[future], "played"
            try:
                played[row] = future.result()
            except (NoPython, Yanked) as error:
                not_played[row] = said = str(error)
            except Exception as error:  # of this row; the others go on
                said = f"not played: {error}"
                failed[row] = [said]
            print(f"[{number}/{len(futures)}] {row}: {said}", flush=True)
    return [played[row] for row in rows if row in played], failed, not_played


if __name__ == "__main__":
    sys.exit(main())
