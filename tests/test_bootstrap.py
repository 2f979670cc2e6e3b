"""The bootstrap folder on PYTHONPATH, a sitecustomize and autowrapt activate the shim, and change nothing else."""

from __future__ import annotations

import os
import shutil
import venv
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import TESTS, Completed, run, write_files

from onenter_deadlock_fix.cli.launch import BOOTSTRAP

Python = Callable[..., Completed]

STATE = """
import livekit.agents
from wrapped_methods import wrappers
print(sys.modules["onenter_deadlock_fix"].status().state, *wrappers())
"""
# The shim is imported when livekit.agents is looked for, and not before.
LOOK = """
import importlib.util, sys
assert "onenter_deadlock_fix" not in sys.modules
for _ in range(2):
    importlib.util.find_spec("livekit.agents")
print("onenter_deadlock_fix" in sys.modules, getattr(sys.modules.get("sitecustomize"), "NAME", None))
"""
SITECUSTOMIZE_OF_DATADOG = """
import os, sys
here = os.path.dirname(__file__)
sys.path.remove(here)
sys.tool = sys.modules.pop('sitecustomize')
import sitecustomize
sys.path.insert(0, here)
"""
FINDER_IN_FRONT = """
import sys
from importlib.machinery import PathFinder
class InFront:
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, path) if name == 'livekit.agents' else None
sys.meta_path.insert(0, InFront)
sys.meta_path[1].find_spec('json', None, target=None)  # as finders call others
"""
AUTOWRAPT = {"AUTOWRAPT_BOOTSTRAP": "onenter_deadlock_fix"}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with a sitecustomize of somebody else's."""
    write_files(tmp_path, {"theirs/sitecustomize.py": "NAME = 'theirs'\n"})
    return tmp_path / "theirs"


def pythonpath(*folders: object) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, folders))}


@pytest.mark.parametrize(
    ("env", "sitecustomize", "first", "state"),
    [
        (pythonpath(BOOTSTRAP, "theirs"), FINDER_IN_FRONT, "", "patched 1 1"),
        (pythonpath("theirs"), "import onenter_deadlock_fix", "", "patched 1 1"),
        (AUTOWRAPT, "", "", "patched 1 1"),
        (AUTOWRAPT, "", "import onenter_deadlock_fix", "patched 1 1"),
        (AUTOWRAPT, "", "import onenter_deadlock_fix as shim; shim.deactivate()", "off 0 0"),
    ],
)
def test_library_is_patched_once(
    env: dict[str, str], sitecustomize: str, first: str, state: str, theirs: Path, python: Python
) -> None:
    write_files(theirs, {"sitecustomize.py": sitecustomize})
    ended = python(f"import sys; sys.path.append({str(TESTS)!r})\n{first}\n{STATE}", env=env)
    assert (ended.stdout, "Error" in ended.stderr) == (f"{state}\n", False), ended.stderr


@pytest.mark.parametrize(
    "path",
    [
        f"{BOOTSTRAP}:theirs",
        f"{BOOTSTRAP}/:{BOOTSTRAP}:theirs",
        f"tool:{BOOTSTRAP}:theirs",
        f"{BOOTSTRAP}:tool:theirs",
        "{here}/a b/bootstrap:theirs",  # other installations of the folder
        "relative/bootstrap/:theirs",
        ":theirs",
    ],
)
def test_sitecustomize_that_python_would_find_is_executed(
    path: str, theirs: Path, tmp_path: Path, python: Python
) -> None:
    write_files(tmp_path, {"tool/sitecustomize.py": SITECUSTOMIZE_OF_DATADOG})
    for other in ("a b/bootstrap", "relative/bootstrap", "."):
        shutil.copytree(BOOTSTRAP, tmp_path / other, dirs_exist_ok=True)
    source = f"import sys; assert hasattr(sys, 'tool') == {'tool' in path}\n{LOOK}"
    ended = python(source, env={"PYTHONPATH": path.format(here=tmp_path)})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True theirs\n", "")


def test_error_of_the_next_sitecustomize_is_reported_as_without_the_shim(theirs: Path, python: Python) -> None:
    write_files(theirs, {"sitecustomize.py": "raise RuntimeError('theirs is broken')\n"})
    source = "import sys; print([entry for entry in sys.path if 'bootstrap' not in entry])"
    bare, ended = (python(source, env=pythonpath(*path)) for path in ([theirs], [BOOTSTRAP, theirs]))
    assert (ended.returncode, ended.stdout, ended.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert "theirs is broken" in ended.stderr
    ended = python("import sys; print(sys.path[1])", env=pythonpath(BOOTSTRAP, theirs))
    assert ended.stdout == f"{BOOTSTRAP}\n", "processes that are started with this path need it"


def test_folder_stays_on_the_path_where_it_was(theirs: Path, python: Python) -> None:
    ended = python("import sys; print(sys.path[1:3])", env=pythonpath(theirs, BOOTSTRAP))
    assert ended.stdout == f"{[str(theirs), BOOTSTRAP]}\n"


@pytest.mark.parametrize("option", ["-S", "-E", "-I"])
def test_interpreter_that_reads_no_sitecustomize_or_no_pythonpath_is_not_touched(option: str, python: Python) -> None:
    ended = python("import sys; print('onenter_deadlock_fix' in sys.modules)", option, env=pythonpath(BOOTSTRAP))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "False\n", "")


@pytest.mark.parametrize(
    ("command", "output", "reason"),
    [
        (LOOK, "False theirs\n", "ModuleNotFoundError(\"No module named 'onenter_deadlock_fix'\")"),
        (f"# with a package\n{LOOK}", "False theirs\n", "ImportError("),
        ("import json, livekit", "", None),  # nobody has looked for livekit.agents
    ],
)
def test_shim_that_cannot_be_imported_is_reported_in_one_line(
    command: str, output: str, reason: str | None, tmp_path: Path, theirs: Path
) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    other_python = str(tmp_path / "venv" / "bin" / "python")
    (theirs / "livekit").mkdir()
    if "with a package" in command:
        write_files(theirs, {"onenter_deadlock_fix/__init__.py": "from . import _import_hook\n"})
    ended = run([other_python, "-c", command], cwd=tmp_path, env=pythonpath(BOOTSTRAP, theirs))
    assert (ended.returncode, ended.stdout) == (0, output)
    line = f"onenter-deadlock-fix: not activated in {other_python}: {reason}"
    assert [error.startswith(line) for error in ended.stderr.splitlines()] == ([True] if reason else [])

    without_stderr = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', other_python, command]
    ended = run(without_stderr, cwd=tmp_path, env=pythonpath(BOOTSTRAP, theirs))
    assert (ended.returncode, ended.stdout) == (0, output)


def older_pythons() -> list[Any]:
    """Return the Pythons below 3.9 that pyenv has here; on most machines there is none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = {tuple(map(int, path.parts[-3].split(".")[:2])): path for path in versions.glob("[23].*.*/bin/python")}
    older = sorted(str(path) for version, path in found.items() if version < (3, 9))
    return older or [pytest.param("", marks=pytest.mark.skip("no older Python"))]


@pytest.mark.parametrize("interpreter", older_pythons())
def test_older_python_is_not_touched(interpreter: str, tmp_path: Path, theirs: Path) -> None:
    source = "import sys, sitecustomize; print([sitecustomize.NAME, len(sys.meta_path)])"
    paths = [theirs], [BOOTSTRAP, theirs, Path(BOOTSTRAP).parents[1]]
    bare, ended = (run([interpreter, "-B", "-c", source], cwd=tmp_path, env=pythonpath(*path)) for path in paths)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, bare.stdout, "")
