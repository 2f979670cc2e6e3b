"""One look at who waits for whom, among 1,000 tasks: ``python look.py ROUNDS ENVIRONMENTS PYTHON ...``.

Each round takes one look and one full garbage collection, in a process in which a hand-over hangs (`crowd.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pairs

LOOK, COLLECTION = "one look", "one full garbage collection"
CROWD = str(Path(__file__).absolute().with_name("crowd.py"))


def main() -> None:
    rounds, environments = int(sys.argv[1]), Path(sys.argv[2]).absolute()
    for version in sys.argv[3:]:
        python = str(environments / version / "bin" / "python")
        crowd = pairs.Variant("crowd", [python, CROWD, str(rounds)])
        with crowd.start(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            measured = json.loads(process.communicate()[0])
        costs = {
            name: [pairs.Cost(**cost) for cost in measured[kind]]
            for name, kind in ((COLLECTION, "collections"), (LOOK, "looks"))
        }
        print(f"\nPython {version}, {rounds} rounds, {measured['tasks']} tasks\n\n{pairs.table(costs, COLLECTION)}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
