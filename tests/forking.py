"""Python programs in forks of a process that has imported all that livekit-agents imports, but not livekit-agents.

An import of livekit-agents is a second and a half of processor time, and 1.2 of that go to other packages. Some 120
tests need a process of their own, and one that imports livekit-agents, but not one that has started just now: without
this, all tests would take a minute and more longer on two cores.

As a program (``python forking.py``) it is that process: it reads requests from standard input, one JSON object a line,
and answers with the exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
import types
from pathlib import Path
from typing import Any

OURS = ("livekit", "onenter_deadlock_fix", "wrapt", "packaging")  # what is under test, or imported by what is
FIND_OUT = "import json, sys, livekit.agents; print(json.dumps(list(sys.modules)))"


class Forks:
    """The process to fork from, and programs that run in forks of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, arguments: list[str], *, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Do as ``python`` does with these arguments: ``-c``, a source and what follows, or a file and what follows."""
        assert self._process.stdin
        assert self._process.stdout
        with tempfile.TemporaryDirectory() as folder:
            output = {name: str(Path(folder, name)) for name in ("stdout", "stderr")}
            request = {"arguments": arguments, "cwd": str(cwd), "env": env, **output}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = json.loads(self._process.stdout.readline())
            stdout, stderr = (Path(path).read_text(encoding="utf-8") for path in output.values())
        return subprocess.CompletedProcess(arguments, code, stdout, stderr)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def main() -> None:
    modules = json.loads(subprocess.check_output([sys.executable, "-c", FIND_OUT], env=clean_environment()))
    for name in modules:
        if name.partition(".")[0] not in OURS:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_run(request))
        signal.alarm(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps(code), flush=True)


def clean_environment() -> dict[str, str]:
    """Return this environment without what the shim reads from it."""
    left_out = ("PYTHONPATH", "AUTOWRAPT_BOOTSTRAP")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in left_out and not name.startswith("ONENTER_DEADLOCK_FIX")
    }


def _run(request: dict[str, Any]) -> int:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.alarm(120)  # seconds; nothing takes as long
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    first, *others = request["arguments"]
    folders = [str(Path(folder).absolute()) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:1] = [os.path.dirname(first) if first != "-c" else "", *folders]
    try:
        if first == "-c":
            sys.argv = [first, *others[1:]]
            module = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(others[0], "<string>", "exec"), vars(module))
        else:
            sys.argv = [first, *others]
            runpy.run_path(first, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
