"""Start of a Python process that never imports livekit: ``python startup.py ROUNDS ENVIRONMENTS PYTHON ...``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pairs

EMPTY = "an empty sitecustomize.py"
WRAPT = "`import wrapt` in it"
BOOTSTRAP = "the bootstrap folder"
NO_BYTE_CODE = {"PYTHONDONTWRITEBYTECODE": "1"}


def start(name: str, python: str, folder: object, **environment: str) -> pairs.Variant:
    """Return the start of a process with a folder on PYTHONPATH."""
    return pairs.Variant(name, [python, "-c", "pass"], {"PYTHONPATH": str(folder), **environment})


def bootstrap_folder(python: str) -> str:
    """Return the bootstrap folder that is installed beside an interpreter."""
    return subprocess.check_output(
        [python, "-m", "onenter_deadlock_fix", "path"], env=NO_BYTE_CODE, cwd="/", text=True
    ).strip()


def with_byte_code(environments: Path, version: str, work: Path) -> list[pairs.Variant]:
    """Return what is compared where byte code is compiled; autowrapt has an environment of its own."""
    python = str(environments / version / "bin" / "python")
    with_autowrapt = str(environments / f"{version}-autowrapt" / "bin" / "python")
    return [
        start(EMPTY, python, work / "empty"),
        start(BOOTSTRAP, python, bootstrap_folder(python)),
        start(WRAPT, python, work / "wrapt"),
        start("empty, autowrapt installed", with_autowrapt, work / "empty"),
        start(
            "empty, autowrapt with its variable set",
            with_autowrapt,
            work / "empty",
            AUTOWRAPT_BOOTSTRAP="onenter_deadlock_fix",
        ),
    ]


def without_byte_code(environments: Path, version: str, work: Path) -> list[pairs.Variant]:
    """Return what is compared where none is compiled and none is written, as in an image that uv has built."""
    python = str(environments / f"{version}-no-byte-code" / "bin" / "python")
    folders = {EMPTY: work / "empty", BOOTSTRAP: bootstrap_folder(python), WRAPT: work / "wrapt"}
    return [start(name, python, folder, **NO_BYTE_CODE) for name, folder in folders.items()]


def main() -> None:
    rounds, environments = int(sys.argv[1]), Path(sys.argv[2]).absolute()
    for version in sys.argv[3:]:
        for variants, title in ((with_byte_code, "with byte code"), (without_byte_code, "without byte code")):
            with tempfile.TemporaryDirectory() as work:
                for name, code in (("empty", ""), ("wrapt", "import wrapt\n")):
                    folder = Path(work, name)
                    folder.mkdir()
                    (folder / "sitecustomize.py").write_text(code)
                costs = pairs.interleave(variants(environments, version, Path(work)), pairs.whole_process, rounds)
            print(f"\nPython {version}, {title}, {rounds} rounds\n\n{pairs.table(costs, EMPTY)}", flush=True)


if __name__ == "__main__":
    main()
