"""Run all benchmarks and write results.md: ``python -m benchmarks``. The README explains the results."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from .callgrind import count

HERE = Path(__file__).absolute().parent
SEEDS = (1, 2, 3)  # each has strings hashed in another way, which moves what is counted by more than anything else does
HANDOFFS = 600
LOOKS = 40
SHOWN = ("livekit-agents", "onenter-deadlock-fix", "wrapt", "packaging")
NO_BYTE_CODE = {"PYTHONDONTWRITEBYTECODE": "1"}

Counts = Mapping[str, float]  # what was counted -> instructions


def main() -> None:
    for tool in ("uv", "valgrind"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is needed, and is not on the path")
    with tempfile.TemporaryDirectory() as folder:
        compiled, not_compiled = environments(Path(folder))
        sections = {
            "Results": setting(compiled),
            "A tick of detection that looks at a deadlock, among 1,000 tasks": looks(compiled),
            "A handoff to an `AgentTask` and back": handoffs(compiled),
            "Start of a Python process, with byte code": start(compiled, limit=1.03),
            "Start of a Python process, without byte code": start(not_compiled, limit=1.05),
            "Import of `livekit.agents`": library_import(compiled),
        }
    text = "\n\n".join(f"## {title}\n\n{section}" for title, section in sections.items())
    (HERE / "results.md").write_text(f"{text[1:]}\n", encoding="utf-8")


def environments(folder: Path) -> tuple[str, str]:
    """Install this checkout with 1.3.5, with byte code and without, and return the interpreters of both.

    Each environment has a folder ``empty``, in which there is an empty sitecustomize.py.
    """
    say("environments")
    subprocess.check_call(["uv", "build", "--quiet", "--wheel", "--out-dir", str(folder / "wheel"), str(HERE.parent)])
    wheel = next(folder.glob("wheel/*.whl"))
    interpreters = []
    for name, compiling in (("compiled", ["--compile-bytecode"]), ("not-compiled", [])):
        # by venv, since uv's own put a .pth file into environments for older Pythons, which costs at each start
        subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", str(folder / name)])
        python = str(folder / name / "bin" / "python")
        subprocess.check_call(["uv", "pip", "install", "--quiet", *compiling, "--python", python, f"{wheel}[affected]"])
        empty = folder / name / "empty"
        empty.mkdir()
        (empty / "sitecustomize.py").touch()
        if compiling:
            subprocess.check_call([python, "-m", "compileall", "-q", str(empty)])
        interpreters.append(python)
    return interpreters[0], interpreters[1]


def setting(python: str) -> str:
    """Return the date, the machine and the versions of the results."""
    code = "import importlib.metadata as m, sys; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]))"
    installed = subprocess.check_output([python, "-c", code, *SHOWN], cwd="/", text=True).strip()
    commit = subprocess.check_output(["git", "describe", "--always", "--dirty"], cwd=HERE, text=True).strip()
    return (
        "Written by `python -m benchmarks`. How to read them: [README.md](README.md).\n\n"
        f"- {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, commit {commit}\n"
        f"- {platform.system()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
        f"- {installed}"
    )


def looks(python: str) -> str:
    """Measure CPU time, while nothing else runs here."""
    lines = [
        "| what the tasks hold | a look, ms | a full garbage collection, ms | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for held in ("little", "much"):
        say(f"looks among tasks that hold {held}")
        command = [python, str(HERE / "look.py"), str(LOOKS), held]
        measured = json.loads(subprocess.check_output(command, env={**os.environ, **NO_BYTE_CODE}, cwd="/"))
        look, collection = ([seconds * 1e3 for seconds in measured[kind]] for kind in ("looks", "collections"))
        ratios = [own / other for own, other in zip(look, collection)]
        lines.append(f"| {held} | {spread(look, '.1f')} | {spread(collection, '.1f')} | {spread(ratios, '.3f')} |")
    return "\n".join([*lines, "", "Limit: 5 ms, and no more where the tasks hold much."])


def handoffs(python: str) -> str:
    names = {
        "bare": "1.3.5",
        "bare again": "1.3.5, once more",
        "off": "with the fix",
        "report": "with the fix and `report`",
    }

    def counts(seed: int) -> Counts:
        output, processes = count([python, str(HERE / "handoff.py"), str(HANDOFFS), *names], seed)
        # of a process, what it does between its two marks: the part before the last
        return {names[name]: processes[process][-2] / HANDOFFS for name, process in json.loads(output).items()}

    return table(for_each_seed("handoffs", counts), "1.3.5", {names["off"]: 1.05, names["report"]: 1.06})


def start(python: str, *, limit: float) -> str:
    bootstrap = subprocess.check_output(
        [python, "-m", "onenter_deadlock_fix", "path"], env=NO_BYTE_CODE, cwd="/", text=True
    ).strip()
    empty, own = "an empty sitecustomize.py", "the bootstrap folder"
    compared = {
        empty: ("pass", {"PYTHONPATH": str(Path(python).parents[1] / "empty")}),
        own: ("pass", {"PYTHONPATH": bootstrap}),
        "no sitecustomize.py": ("pass", {}),
        "none, and `import onenter_deadlock_fix`": ("import onenter_deadlock_fix", {}),
    }

    def counts(seed: int) -> Counts:
        return {name: of_one([python, "-c", code], seed, env) for name, (code, env) in compared.items()}

    return table(for_each_seed("starts", counts), empty, {own: limit})


def library_import(python: str) -> str:
    bare, own = "`import livekit.agents`", "`import onenter_deadlock_fix, livekit.agents`"

    def counts(seed: int) -> Counts:
        # without the garbage collection: whether one more full one falls due in the import is chance, and 0.5 %
        code = "import gc, os; gc.disable(); os.getppid(); {}; os.getppid()"
        return {name: of_one([python, "-c", code.format(name.strip("`"))], seed, part=1) for name in (bare, own)}

    return table(for_each_seed("imports", counts), bare, {own: 1.01})


def of_one(command: Sequence[str], seed: int, environment: Mapping[str, str] | None = None, *, part: int = 0) -> int:
    """Return the instructions of a command that is one process: of all of it, or of a part where it has marks."""
    _, processes = count(command, seed, environment)
    (parts,) = processes.values()
    return parts[part]


def for_each_seed(what: str, counts: Callable[[int], Counts]) -> list[Counts]:
    """Count side by side, as a count is the same however busy the machine is."""

    def one(seed: int) -> Counts:
        say(f"{what}, PYTHONHASHSEED={seed}")
        return counts(seed)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, SEEDS))


def table(counted: Sequence[Counts], baseline: str, limits: Mapping[str, float]) -> str:
    lines = ["| | instructions, thousands | ratio | limit |", "| --- | --- | --- | --- |"]
    for name in counted[0]:
        thousands = statistics.median(counts[name] for counts in counted) / 1e3
        ratio = spread([counts[name] / counts[baseline] for counts in counted], ".4f") if name != baseline else "1"
        lines.append(f"| {name} | {thousands:,.0f} | {ratio} | {limits.get(name, '')} |")
    return "\n".join(lines)


def spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def say(what: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
