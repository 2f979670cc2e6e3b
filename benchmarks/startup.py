"""Start of a Python process that never imports livekit: ``python startup.py ROUNDS ENVIRONMENTS PYTHON ...``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pairs

EMPTY = "an empty sitecustomize.py"


def variants(environments: Path, version: str, work: Path) -> list[pairs.Variant]:
    """Return what is compared, all with one folder on PYTHONPATH; autowrapt has an environment of its own."""
    python = str(environments / version / "bin" / "python")
    with_autowrapt = str(environments / f"{version}-autowrapt" / "bin" / "python")
    bootstrap = subprocess.check_output([python, "-m", "onenter_deadlock_fix", "path"], text=True).strip()
    own = {EMPTY: "", "`import wrapt` in it": "import wrapt\n"}
    folders = {name: work / str(number) for number, name in enumerate(own)}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(own[name])

    def start(name: str, folder: object, python: str = python, **environment: str) -> pairs.Variant:
        return pairs.Variant(name, [python, "-c", "pass"], {"PYTHONPATH": str(folder), **environment})

    switched_on = {"AUTOWRAPT_BOOTSTRAP": "onenter_deadlock_fix"}
    return [
        start(EMPTY, folders[EMPTY]),
        start("the bootstrap folder", bootstrap),
        start("`import wrapt` in it", folders["`import wrapt` in it"]),
        start("empty, autowrapt installed", folders[EMPTY], with_autowrapt),
        start("empty, autowrapt with its variable set", folders[EMPTY], with_autowrapt, **switched_on),
    ]


def main() -> None:
    rounds, environments = int(sys.argv[1]), Path(sys.argv[2]).absolute()
    for version in sys.argv[3:]:
        with tempfile.TemporaryDirectory() as work:
            compared = variants(environments, version, Path(work))
            costs = pairs.interleave(compared, pairs.whole_process, rounds)
        print(f"\nPython {version}, {rounds} rounds\n\n{pairs.table(costs, EMPTY)}", flush=True)


if __name__ == "__main__":
    main()
