"""Plays random programs and prints what is not as it must be."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
from pathlib import Path

from . import judge
from .generate import generate

AFTER = 1.0  # seconds of virtual time, as all are
_ONCE_MORE = 5  # times that a program is played whose outcome differs
_AT_A_TIME = 10  # programs that are played in one process: the first one in it is dear


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m random_programs", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, metavar="N", help="how many (default: 300)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (default: 0)")
    parser.add_argument("--show", type=int, metavar="SEED", help="print this program, and what came out of it")
    parser.add_argument("--digests", type=Path, metavar="FILE", help="write there what they do, in short, as JSON")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="how many to play at once (default: 2)")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # and not to standard error

    import onenter_deadlock_fix  # noqa: F401  # before livekit-agents, as in a program
    import livekit.agents  # isort: skip
    from . import perform  # noqa: F401  # before the forks

    seeds = range(options.first, options.first + options.seeds) if options.show is None else [options.show]
    problems: dict[int, list[str]] = {}
    kinds: dict[str, list[int]] = {}
    digests: dict[int, str] = {}
    with multiprocessing.get_context("fork").Pool(options.at_once, maxtasksperchild=_AT_A_TIME) as pool:
        for seed, played in zip(seeds, pool.imap(_play, seeds)):
            found = list(judge.broken(played))
            if found:
                problems[seed] = found
            digests[seed] = judge.digest(played["off"])
            for kind in judge.kinds(played):
                kinds.setdefault(kind, []).append(seed)
            if options.show is not None:
                print(generate(seed))
                print(json.dumps(played, indent=1))
    if options.digests:
        options.digests.write_text(json.dumps(digests, indent=0) + "\n", encoding="utf-8")
    counts = {kind: len(of_it) for kind, of_it in kinds.items()}
    json.dump(
        {
            "livekit_agents": livekit.agents.__version__,
            "programs": len(seeds),
            **counts,
            "to be read": kinds.get("left waiting for no event, only a warning"),
            "problems": problems,
        },
        sys.stdout,
        indent=1,
    )
    print()
    return 1 if problems else 0


def _play(seed: int) -> judge.Outcomes:
    """Play a program in each mode, one after the other; where there is no fix to take off, not without it."""
    import onenter_deadlock_fix as fix

    from .perform import play

    played = {}
    if fix.status().state == "patched":
        fix.deactivate()
        played["bare"] = play(generate(seed))
        fix.activate()
    for mode in ("off", "report", "resolve"):
        fix.detect(mode, after=AFTER)  # type: ignore[arg-type]
        played[mode] = play(generate(seed))
    for number in range(_ONCE_MORE):  # what happens at one moment may have another order each time, as a set has
        if all(judge.is_the_same(played["off"], played[mode]) for mode in ("report", "resolve")):
            break
        fix.detect("off")
        played[f"off again {number}"] = play(generate(seed))
    return played


if __name__ == "__main__":
    sys.exit(main())
