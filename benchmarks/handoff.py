"""A hand-over to an ``AgentTask`` and back: ``python handoff.py TRIALS ENVIRONMENTS PYTHON ...``.

Each trial starts the four processes once and has them work in turns, a hundred hand-overs at a time. A trial counts
as one round: its cost is the median of its turns. The processes of a trial hash strings alike, since where names fall
in the dictionaries of a process alone makes it some 3 % slower or faster; each trial hashes them in another way.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from pathlib import Path

import pairs

BARE, WITH_SHIM, WITH_DETECTION, FIXED = "1.3.5", "1.3.5, patched", "1.3.5, patched, `report`", "1.3.6"
SWITCHED = {  # by the calls that are made before a turn
    BARE: "deactivate",
    WITH_SHIM: "activate; detect off",
    WITH_DETECTION: "activate; detect report",
}
CONVERSATION = str(Path(__file__).absolute().with_name("conversation.py"))
TURNS = 20


def trial(number: int, own: str, fixed: str) -> dict[str, pairs.Cost]:
    """Return the cost of one hand-over there and back for each variant."""
    hashing = {"PYTHONHASHSEED": str(number)}
    with_shim = [own, CONVERSATION, "onenter_deadlock_fix"]
    compared = [
        pairs.Variant(BARE, [own, CONVERSATION], hashing),
        pairs.Variant(WITH_SHIM, with_shim, {**hashing, "ONENTER_DEADLOCK_FIX_DETECT": "off"}),
        pairs.Variant(WITH_DETECTION, with_shim, hashing),
        pairs.Variant(FIXED, [fixed, CONVERSATION], hashing),
    ]
    with contextlib.ExitStack() as stack:
        processes = {
            variant.name: stack.enter_context(variant.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for variant in compared
        }

        costs = pairs.interleave(compared, lambda variant: turn(processes[variant.name]), TURNS)
    return {
        name: pairs.Cost(
            cpu=statistics.median(cost.cpu for cost in turns), wall=statistics.median(cost.wall for cost in turns)
        )
        for name, turns in costs.items()
    }


def within_one_process(own: str, rounds: int) -> pairs.Costs:
    """Return the cost of one hand-over, in one process in which the shim and its detection are switched."""
    switched = [pairs.Variant(name, [own, CONVERSATION, "onenter_deadlock_fix"]) for name in SWITCHED]
    with switched[0].start(stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        return pairs.interleave(switched, lambda variant: turn(process, SWITCHED[variant.name]), rounds)


def turn(process: subprocess.Popen[bytes], first: str = "") -> pairs.Cost:
    """Have a process do one turn, after these calls of the shim's, and return the cost of one hand-over."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{first}\n".encode())
    process.stdin.flush()
    return pairs.Cost(**json.loads(process.stdout.readline()))


def main() -> None:
    trials, environments = int(sys.argv[1]), Path(sys.argv[2]).absolute()
    for version in sys.argv[3:]:
        own, fixed = (str(environments / name / "bin" / "python") for name in (version, f"{version}-fixed"))
        outcomes = [trial(number, own, fixed) for number in range(trials)]
        costs = {name: [outcome[name] for outcome in outcomes] for name in outcomes[0]}
        for baseline in (BARE, FIXED):
            print(
                f"\nPython {version}, {trials} trials, against {baseline}\n\n{pairs.table(costs, baseline, 'µs', 1e6)}"
            )
        within = pairs.table(within_one_process(own, trials * TURNS // 3), BARE, "µs", 1e6)
        print(f"\nPython {version}, within one process in which the shim is switched in turn\n\n{within}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
