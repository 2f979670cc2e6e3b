"""Play random programs and print which rules they violate."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from programs import map_in_forks

from . import judge
from .generate import Generator


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m random_programs", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, metavar="N", help="how many (default: 300)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (default: 0)")
    parser.add_argument("--show", type=int, metavar="SEED", help="print this program, and what came out of it")
    parser.add_argument("--digests", type=Path, metavar="FILE", help="write there what they do, in short, as JSON")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # and not to standard error

    import onenter_deadlock_fix  # noqa: F401  # before livekit-agents, as in a program

    from . import perform  # noqa: F401  # before the forks

    if options.show is not None:
        played = {options.show: play(options.show)}
        print(Generator(options.show).program(), *(json.dumps(part, indent=1) for part in (played, judged(played))))
        return 0
    seeds = range(options.first, options.first + options.seeds)
    outcomes = map_in_forks(
        play, seeds, at_once=2, one_after_another=10, failed=lambda error: {"error": {"reason": repr(error)}}
    )
    found = judged(dict(zip(seeds, outcomes)))
    digests = found.pop("digests")
    if options.digests:
        options.digests.write_text(json.dumps(digests, indent=0) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 1 if found["problems"] else 0


def judged(outcomes: Mapping[int, judge.Outcomes]) -> dict[str, Any]:
    """Return the problems and the digests by seed, and how many programs there are of each kind."""
    played = {seed: outcome for seed, outcome in outcomes.items() if "error" not in outcome}
    problems = {seed: [outcome["error"]["reason"]] for seed, outcome in outcomes.items() if seed not in played}
    problems.update({seed: found for seed, outcome in played.items() if (found := list(judge.violations(outcome)))})
    return {
        "programs": len(played),
        **Counter(kind for outcome in played.values() for kind in judge.kinds(outcome)),
        "problems": problems,
        "digests": {seed: judge.digest(outcome["off"]) for seed, outcome in played.items()},
    }


def play_all(seeds: Sequence[int]) -> dict[int, judge.Outcomes]:
    """Play programs one after the other in this process, and return what came out of each.

    Two of four are resolved, and the other two are played without the fix: one that may abort, and one that may not.
    """
    return {seed: play(seed, ("off", "report", "resolve" if seed % 4 < 2 else "bare")) for seed in seeds}


def play(seed: int, modes: Sequence[str] = ("bare", "off", "report", "resolve")) -> judge.Outcomes:
    """Play a program in modes, one after the other; in ``bare`` without the fix, where there is one to take off."""
    import onenter_deadlock_fix as fix

    from . import perform

    def perform_in(mode: Any) -> judge.Outcome:
        if mode == "bare":
            fix.deactivate()
        else:
            fix.activate()
            fix.detect(mode, after=0.3)  # seconds of virtual time, as all are
        return perform.play(Generator(seed).program())

    is_patched = fix.activate().state == "patched"
    played = {mode: perform_in(mode) for mode in modes if is_patched or mode != "bare"}
    for number in range(5):  # what happens at one moment may have another order each time, as a set has
        if not all(judge.is_the_same(played["off"], played[mode]) for mode in ("report", "resolve") if mode in played):
            played[f"off again {number}"] = perform_in("off")
    return played


if __name__ == "__main__":
    sys.exit(main())
