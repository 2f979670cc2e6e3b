"""The bootstrap folder on PYTHONPATH activates the shim and is otherwise not noticed."""

from __future__ import annotations

import os
import shutil
import sys
import venv
from pathlib import Path
from typing import Any, Callable

import pytest
from programs import run

from onenter_deadlock_fix.cli.launch import BOOTSTRAP

Output = Callable[..., Any]

# The shim is imported when somebody looks for the library, and not before.
SEEN = """
import json, sys
finder = [finder for finder in sys.meta_path if "deadlock" in getattr(finder, "__file__", "")]
before = "onenter_deadlock_fix" in sys.modules
for found in finder:
    found.find_spec("livekit.agents")
seen = [not before and "onenter_deadlock_fix" in sys.modules]
print(json.dumps(seen + [getattr(sys.modules.get("sitecustomize"), "NAME", None)]))
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with a sitecustomize of somebody else's."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("NAME = 'theirs'\n")
    return folder


def pythonpath(*folders: object) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, folders))}


def test_library_is_patched(output_afresh: Output) -> None:
    source = "import json, livekit.agents, onenter_deadlock_fix; print(json.dumps(onenter_deadlock_fix.status().state))"
    assert output_afresh(source, env=pythonpath(BOOTSTRAP)) == "patched"


def test_teams_own_sitecustomize_with_one_line_is_enough(tmp_path: Path, output_afresh: Output) -> None:
    (tmp_path / "sitecustomize.py").write_text("import onenter_deadlock_fix\n")
    source = "import json, livekit.agents, sys; print(json.dumps(sys.modules['onenter_deadlock_fix'].status().state))"
    assert output_afresh(source, env=pythonpath(tmp_path)) == "patched"


def test_sitecustomize_that_would_have_been_found_still_runs(theirs: Path, output_afresh: Output) -> None:
    assert output_afresh(SEEN, env=pythonpath(BOOTSTRAP, theirs)) == [True, "theirs"]
    assert output_afresh(SEEN, env=pythonpath(f"{BOOTSTRAP}/", BOOTSTRAP, theirs)) == [True, "theirs"]


def test_sitecustomize_of_another_tool_that_runs_the_next_one_is_no_obstacle(
    tmp_path: Path, theirs: Path, output_afresh: Output
) -> None:
    tool = tmp_path / "tool"
    tool.mkdir()
    # as Datadog's does it
    (tool / "sitecustomize.py").write_text(
        "import os, sys\n"
        "here = os.path.dirname(__file__)\n"
        "sys.path.remove(here)\n"
        "sys.tool = sys.modules.pop('sitecustomize')\n"
        "import sitecustomize\n"
        "sys.path.insert(0, here)\n"
    )
    source = f"import sys; assert sys.tool\n{SEEN}"
    assert output_afresh(source, env=pythonpath(tool, BOOTSTRAP, theirs)) == [True, "theirs"]
    assert output_afresh(source, env=pythonpath(BOOTSTRAP, tool, theirs)) == [True, "theirs"]


def test_error_of_the_next_sitecustomize_is_reported_as_without_us(theirs: Path, python: Callable[..., Any]) -> None:
    (theirs / "sitecustomize.py").write_text("raise RuntimeError('theirs is broken')\n")
    bare = python("print('alive')", env=pythonpath(theirs))
    ended = python("print('alive')", env=pythonpath(BOOTSTRAP, theirs))
    assert (ended.returncode, ended.stdout, ended.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert "theirs is broken" in ended.stderr


def test_folder_stays_on_the_path_where_it_was(theirs: Path, output_afresh: Output) -> None:
    source = "import json, sys; print(json.dumps(sys.path[1:3]))"
    assert output_afresh(source, env=pythonpath(theirs, BOOTSTRAP)) == [str(theirs), BOOTSTRAP]


def test_library_that_another_finder_finds_first_is_patched(theirs: Path, output_afresh: Output) -> None:
    (theirs / "sitecustomize.py").write_text(
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class InFront:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        return PathFinder.find_spec(name, path) if name == 'livekit.agents' else None\n"
        "sys.meta_path.insert(0, InFront)\n"
    )
    source = "import json, sys, livekit.agents; print(json.dumps(sys.modules['onenter_deadlock_fix'].status().state))"
    assert output_afresh(source, env=pythonpath(BOOTSTRAP, theirs)) == "patched"


def test_finder_is_asked_again_by_whoever_has_kept_it(theirs: Path, output_afresh: Output) -> None:
    source = """
import importlib.util, json, sys
kept = list(sys.meta_path)
found = [finder.find_spec("livekit.agents", None) for _ in range(2) for finder in kept[:1]]
import livekit.agents
print(json.dumps(sys.modules["onenter_deadlock_fix"].status().state))
"""
    assert output_afresh(source, env=pythonpath(BOOTSTRAP)) == "patched"


@pytest.mark.parametrize("place", ["a b", "relative", ""])
def test_folder_is_found_however_it_is_written_in_pythonpath(place: str, tmp_path: Path) -> None:
    # another installation of the folder: one whose path is not that of the tests
    folder = tmp_path / place / "bootstrap" if place else tmp_path
    shutil.copytree(BOOTSTRAP, folder, dirs_exist_ok=True)
    entry = {"relative": "relative/bootstrap/", "": ""}.get(place, folder)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "sitecustomize.py").write_text("NAME = 'theirs'\n")
    seen = SEEN.replace('"deadlock" in getattr(finder, "__file__", "")', 'str(finder).find("sitecustomize") > 0')
    ended = run([sys.executable, "-c", seen], cwd=tmp_path, env=pythonpath(entry, tmp_path / "theirs"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, '[true, "theirs"]\n', "")


@pytest.mark.parametrize("option", ["-S", "-E", "-I"])
def test_interpreter_that_reads_no_sitecustomize_or_no_pythonpath_is_not_touched(
    option: str, python: Callable[..., Any]
) -> None:
    source = "import sys; print('onenter_deadlock_fix' in sys.modules)"
    ended = python(source, option, env=pythonpath(BOOTSTRAP))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "False\n", "")


@pytest.fixture
def other_python(tmp_path: Path) -> str:
    """The interpreter of an environment without the package."""
    venv.create(tmp_path / "venv", symlinks=True)
    return str(tmp_path / "venv" / "bin" / "python")


def test_interpreter_of_another_environment_says_so_once_when_somebody_looks_for_the_library(
    other_python: str, tmp_path: Path, theirs: Path
) -> None:
    (theirs / "livekit").mkdir()
    looks = "import importlib.util; print([importlib.util.find_spec('livekit.agents') for _ in range(2)])"
    ended = run([other_python, "-c", looks], cwd=tmp_path, env=pythonpath(BOOTSTRAP, theirs))
    assert (ended.returncode, ended.stdout) == (0, "[None, None]\n")
    assert ended.stderr == (
        f"onenter-deadlock-fix: not activated in {other_python}: "
        "ModuleNotFoundError(\"No module named 'onenter_deadlock_fix'\")\n"
    )

    ended = run([other_python, "-c", "import json, livekit"], cwd=tmp_path, env=pythonpath(BOOTSTRAP, theirs))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_error_of_ours_is_one_line_and_stops_nothing(other_python: str, tmp_path: Path, theirs: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "onenter_deadlock_fix").mkdir(parents=True)
    (broken / "onenter_deadlock_fix" / "__init__.py").write_text("from . import _import_hook\n")
    ended = run([other_python, "-c", SEEN], cwd=tmp_path, env=pythonpath(BOOTSTRAP, theirs, broken))
    assert (ended.returncode, ended.stdout) == (0, '[false, "theirs"]\n')
    assert ended.stderr.startswith(f"onenter-deadlock-fix: not activated in {other_python}: ImportError(")
    assert ended.stderr.count("\n") == 1


def test_error_of_ours_stops_nothing_where_there_is_no_stderr(other_python: str, tmp_path: Path) -> None:
    (tmp_path / "livekit").mkdir()
    looks = "import importlib.util; importlib.util.find_spec('livekit.agents'); print('alive')"
    closed = ["sh", "-c", f'exec {other_python} -c "{looks}" 2>&-']
    ended = run(closed, cwd=tmp_path, env=pythonpath(BOOTSTRAP, tmp_path))
    assert (ended.returncode, ended.stdout) == (0, "alive\n")


def older_pythons() -> list[str]:
    """Return the Pythons below 3.9 that pyenv has here; on most machines there is none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = {tuple(map(int, path.parts[-3].split(".")[:2])): path for path in versions.glob("[23].*.*/bin/python")}
    return sorted(str(path) for version, path in found.items() if version < (3, 9))


@pytest.mark.parametrize(
    "interpreter", older_pythons() or [pytest.param("", marks=pytest.mark.skip("no older Python"))]
)
def test_older_python_goes_on_silently(interpreter: str, tmp_path: Path, theirs: Path) -> None:
    package_root = Path(BOOTSTRAP).parents[1]
    ended = run([interpreter, "-c", SEEN], cwd=tmp_path, env=pythonpath(BOOTSTRAP, theirs, package_root))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, '[false, "theirs"]\n', "")
