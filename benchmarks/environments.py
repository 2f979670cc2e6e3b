"""The environments to measure in: ``python environments.py FOLDER PYTHON ...``, a PYTHON being an interpreter's path.

For Python 3.11 they are ``3.11`` (livekit-agents 1.3.5 and the project's wheel), ``3.11-no-byte-code`` (the same, with
nothing compiled), ``3.11-autowrapt`` (as the first, with autowrapt) and ``3.11-fixed`` (livekit-agents 1.3.6 alone).
Needs uv.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).absolute().parents[1]


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    wheels = folder / "wheel"
    subprocess.check_call(["uv", "build", "--quiet", "--wheel", "--out-dir", str(wheels), str(PROJECT)])
    wheel = f"{max(wheels.glob('*.whl'), key=lambda path: path.stat().st_mtime)}[affected]"
    for interpreter in sys.argv[2:]:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = subprocess.check_output([interpreter, "-c", code], text=True).strip()
        for name, requirements in {
            version: [wheel],
            f"{version}-no-byte-code": [wheel],
            f"{version}-autowrapt": [wheel, "autowrapt>=2"],
            f"{version}-fixed": ["livekit-agents==1.3.6", "openai<3"],
        }.items():
            # by venv, since uv's own put a .pth file into environments for older Pythons, which costs at each start
            subprocess.check_call([interpreter, "-m", "venv", "--clear", "--without-pip", str(folder / name)])
            python = str(folder / name / "bin" / "python")
            compiling = [] if name.endswith("-no-byte-code") else ["--compile-bytecode"]
            subprocess.check_call(["uv", "pip", "install", "--quiet", *compiling, "--python", python, *requirements])


if __name__ == "__main__":
    main()
