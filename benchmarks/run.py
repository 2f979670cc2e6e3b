"""All benchmarks, as Markdown: ``python run.py ENVIRONMENTS PYTHON ... > results.md``, in some twenty minutes.

The start is measured on each Python, the rest on the first.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).absolute().parent
ROUNDS = {"startup": 60, "library_import": 30, "handoff": 30, "look": 60}
SHOWN = ("livekit-agents", "onenter-deadlock-fix", "wrapt", "autowrapt", "opentelemetry-sdk", "packaging")


def main() -> None:
    environments, versions = Path(sys.argv[1]).absolute(), sys.argv[2:]
    print("# Results\n\nHow to read them: [README.md](README.md). Written by `run.py`.\n")
    print(f"- {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}")
    print(f"- {platform.system()} {platform.release()}, {_processor()}, {os.cpu_count()} cores")
    for version in versions:
        for name in (version, f"{version}-no-byte-code", f"{version}-autowrapt", f"{version}-fixed"):
            if name.endswith("-fixed") and version != versions[0]:
                continue
            print(f"- `{name}`: {_installed(environments / name / 'bin' / 'python')}")
    for script, rounds in ROUNDS.items():
        title = (HERE / f"{script}.py").read_text(encoding="utf-8").strip('"').partition(": ``python")[0]
        began = os.getloadavg()[0]
        print(f"\n## {title.replace('``', '`')}", flush=True)
        measured = versions if script == "startup" else versions[:1]
        command = [sys.executable, str(HERE / f"{script}.py"), str(rounds), str(environments), *measured]
        subprocess.check_call(command)
        print(f"\nLoad average of the machine before and after: {began:.1f}, {os.getloadavg()[0]:.1f}", flush=True)


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return next(line.partition(":")[2].strip() for line in info if line.startswith("model name"))


def _installed(python: Path) -> str:
    code = (
        "import platform, importlib.metadata as m\n"
        f"shown = {SHOWN!r}\n"
        "found = {d.metadata['Name']: d.version for d in m.distributions()}\n"
        "print(', '.join(['Python ' + platform.python_version(), *(f'{n} {found[n]}' for n in shown if n in found)]))"
    )
    return subprocess.check_output([str(python), "-c", code], text=True).strip()


if __name__ == "__main__":
    main()
