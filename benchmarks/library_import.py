"""``import livekit.agents`` with the shim against without: ``python library_import.py ROUNDS ENVIRONMENTS PYTHON ...``.

Two looks at it. Whole processes, from start to end, leave out nothing that the shim does. But an import of two seconds
varies by more than the shim costs; so processes also tell how long, of their own import, the shim was at work.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pairs

WITHOUT, WITH = "`import livekit.agents`", "the same, after `import onenter_deadlock_fix`"
CODE = {WITHOUT: "import livekit.agents", WITH: "import onenter_deadlock_fix, livekit.agents"}
STOPWATCH = """
import json, sys, time
began = time.process_time()
import onenter_deadlock_fix
shim = time.process_time() - began
settle = onenter_deadlock_fix._activation._settle
def timed_settle():
    global shim
    began = time.process_time()
    settle()
    shim += time.process_time() - began
onenter_deadlock_fix._activation._settle = timed_settle
import livekit.agents
print(json.dumps([shim, time.process_time() - began - shim, onenter_deadlock_fix.status().state]))
"""


def main() -> None:
    rounds, environments = int(sys.argv[1]), Path(sys.argv[2]).absolute()
    for version in sys.argv[3:]:
        python = str(environments / version / "bin" / "python")
        compared = [pairs.Variant(name, [python, "-c", code]) for name, code in CODE.items()]
        costs = pairs.interleave(compared, pairs.whole_process, rounds)
        shares = sorted(_share(python) for _ in range(max(3, rounds // 4)))
        print(f"\nPython {version}, {rounds} rounds\n\n{pairs.table(costs, WITHOUT)}\n")
        print(
            f"Within one process, CPU, {len(shares)} processes: ratio {1 + statistics.median(shares):.4f}, "
            f"from {1 + shares[0]:.4f} to {1 + shares[-1]:.4f}",
            flush=True,
        )


def _share(python: str) -> float:
    shim, library, state = json.loads(subprocess.check_output([python, "-c", STOPWATCH], cwd="/"))
    assert state == "patched", state
    return float(shim) / float(library)


if __name__ == "__main__":
    main()
