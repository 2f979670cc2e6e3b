"""Plays random programs and prints what is not as it must be."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
from collections import Counter
from typing import Any

from .generate import generate

AFTER = 1.0  # seconds of virtual time, as all are


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m random_programs", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, metavar="N", help="how many (default: 300)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (default: 0)")
    parser.add_argument("--show", type=int, metavar="SEED", help="print this program, and what came out")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="how many to play at once (default: 2)")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # and not to standard error

    import onenter_deadlock_fix  # before livekit-agents, as in a program
    import livekit.agents  # isort: skip
    from . import judge, perform  # noqa: F401  # before the forks

    modes = ["off", "report", "resolve"]
    if onenter_deadlock_fix.status().state == "patched":
        modes.insert(0, "bare")
    seeds = [options.show] if options.show is not None else range(options.first, options.first + options.seeds)
    with multiprocessing.get_context("fork").Pool(options.at_once, maxtasksperchild=1) as pool:
        results = {(seed, mode): pool.apply_async(_play, (seed, mode)) for seed in seeds for mode in modes}
        problems: dict[int, list[str]] = {}
        counted: Counter[str] = Counter()
        for seed in seeds:
            played = {mode: results[seed, mode].get(300) for mode in modes}
            found = list(judge.broken(generate(seed), played))
            if found:
                problems[seed] = found
            counted.update(_counted(played))
            if options.show is not None:
                print(generate(seed))
                print(json.dumps(played, indent=1))
    json.dump(
        {"livekit_agents": livekit.agents.__version__, "programs": len(seeds), **counted, "problems": problems},
        sys.stdout,
        indent=1,
    )
    print()
    return 1 if problems else 0


def _play(seed: int, mode: str) -> Any:
    import onenter_deadlock_fix

    from .perform import play

    if mode == "bare":
        onenter_deadlock_fix.deactivate()
    elif mode != "off":
        onenter_deadlock_fix.detect(mode, after=AFTER)
    return play(generate(seed))


def _counted(played: dict[str, Any]) -> dict[str, int]:
    report, resolve = played["report"], played["resolve"]
    hangs, told = bool(report["waits"]), {record["level"] for record in report["log"]}
    return {
        "left waiting": hangs,
        "left waiting, deadlock told": hangs and "ERROR" in told,
        "left waiting, only a warning": hangs and told == {"WARNING"},
        "nobody left waiting, deadlock told": not hangs and "ERROR" in told,
        "resolved": hangs and not resolve["waits"],
    }


if __name__ == "__main__":
    sys.exit(main())
