"""``onenter-deadlock-fix status -- COMMAND`` answers whether the shim is active in a command."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from programs import Command, write_files, write_script

from onenter_deadlock_fix.cli.command_status import report_on_command
from onenter_deadlock_fix.cli.entrypoint import Import, Program, Unreadable
from onenter_deadlock_fix.cli.launch import BOOTSTRAP

EXECUTED = "raise SystemExit('executed')\n"
SHIM = "import onenter_deadlock_fix\n"
ACTIVE, INACTIVE = "its Python activates the shim by itself", "its Python does not activate the shim by itself, and"
IN_FRONT = {"PYTHONPATH": BOOTSTRAP}


@pytest.mark.parametrize(
    ("words", "program", "env", "exit_code", "verdict"),
    [
        ("python -u agent.py start", "", {}, 1, f"NOT ACTIVE: {INACTIVE} its program does not import"),
        ("python -I agent.py start", "", IN_FRONT, 1, f"NOT ACTIVE: {INACTIVE}"),
        ("python -m onenter_deadlock_fix run python agent.py", "", {}, 0, f"active: {ACTIVE}"),
        ("env -C elsewhere python agent.py", SHIM, {}, 3, f"can't say: {INACTIVE}"),
        ("./agent start", "", IN_FRONT, 0, f"active: {ACTIVE}"),
    ],
)
def test_verdict_on_a_command(
    words: str, program: str, env: dict[str, str], exit_code: int, verdict: str, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "agent.py").write_text(program + EXECUTED)
    write_script(tmp_path / "agent", f"#!/usr/bin/env -S {sys.executable} -u\n{EXECUTED}")
    ended = command("status", "--", *words.replace("python ", f"{sys.executable} ").split(), env=env)
    assert (ended.returncode, ended.stderr) == (exit_code, "")
    assert ended.stdout.startswith(verdict)


@pytest.mark.parametrize(
    ("release", "exit_code", "verdict"),
    [
        ("1.3.5", 1, "NOT ACTIVE: onenter-deadlock-fix is not installed in this environment"),
        ("1.3.6", 0, "not needed: livekit-agents 1.3.6 has upstream's fix, which came with 1.3.6"),
        (None, 3, "can't say: livekit-agents is not installed in this environment"),
    ],
)
def test_verdict_on_a_command_of_an_environment_without_the_shim(
    release: str | None, exit_code: int, verdict: str, tmp_path: Path, command: Command
) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    (tmp_path / "agent.py").write_text(SHIM + EXECUTED)
    if release:
        (packages,) = (tmp_path / "bare" / "lib").glob("python*/site-packages")
        version = f"__version__ = {release!r}\n"
        write_files(packages, {"livekit/agents/__init__.py": "", "livekit/agents/version.py": version})
    ended = command("status", str(tmp_path / "bare" / "bin" / "python"), "agent.py", "start")
    assert (ended.returncode, ended.stderr, ended.stdout.splitlines()[0]) == (exit_code, "", verdict)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("no-such-command agent.py", "no-such-command: command not found"),
        ("sh -c 'python agent.py'", "it can't be seen what sh executes"),
        ("env ./start.sh python agent.py", "it can't be seen what ./start.sh executes"),
        ("uv run start.sh", "it can't be seen what uv executes"),
        ("uv run --frozen my-agent agent.py --language python", "it can't be seen what my-agent executes"),
        ("uv run with_metadata.py", "it can't be seen what uv executes"),
        ("./python agent.py", "./python ended early: exit code 7"),
    ],
)
def test_command_whose_python_cannot_be_seen(
    words: str, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("start.sh", "python", "uv"):
        write_script(folder / name, "#!/bin/sh\nexit 7\n")
    (folder / "with_metadata.py").write_text("# /// script\n# dependencies = []\n# ///\n")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{folder}")
    report = report_on_command(words.split())
    assert (report.exit_code, report.verdict) == (3, "can't say")
    assert report.reason.startswith(reason)


CERTAIN, UNCERTAIN = Import("agent.py, line 1", True), Import("agent.py, line 2", False)
SOURCES = {
    "helped.py": "import os\nfrom helper import x",
    "helper.py": SHIM,
    "lonely.py": "import other, installed\nif os: import helper",
    "app/__init__.py": SHIM,
    "app/worker.py": "",
    "app/__main__.py": "",
    "site/other.py": SHIM,
    "site/installed/__init__.py": "",
    "site/installed/__main__.py": "from .inner import run",
    "site/installed/inner/__init__.py": "from . import deep",
    "site/installed/inner/deep.py": SHIM,
    "bin/script": "import sys\nfrom installed.__main__ import main",
    "bin/script.py": "from installed.__main__ import main",
    "broken.py": "import (",
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os, onenter_deadlock_fix", CERTAIN),
        ("from onenter_deadlock_fix import status", CERTAIN),
        ("from onenter_deadlock_fix.detection import config", CERTAIN),
        ("try: import onenter_deadlock_fix\nexcept ImportError: pass", CERTAIN),
        ("if True:\n  import onenter_deadlock_fix", UNCERTAIN),
        ("def main():\n  import onenter_deadlock_fix", UNCERTAIN),
        ("try: import os\nexcept ImportError: import onenter_deadlock_fix", UNCERTAIN),
        ("import onenter_deadlock_fixes, livekit.agents  # onenter_deadlock_fix", None),
        ("from . import onenter_deadlock_fix", None),
    ],
)
def test_import_in_the_program_itself(source: str, expected: Import | None, folder: Path) -> None:
    (folder / "agent.py").write_text(source)
    assert Program(["agent.py"], str(folder), []).find_import() == expected


@pytest.mark.parametrize(
    ("program", "found_in"),
    [
        ("helped.py", "helper.py"),
        ("-m helped", "helper.py"),
        ("-m app", "app/__init__.py"),
        ("-m app.worker", "app/__init__.py"),
        ("-m installed", "site/installed/inner/deep.py"),
        ("bin/script", "site/installed/inner/deep.py"),
        ("-c import\thelper", "helper.py"),
        ("bin/script.py", None),
        ("lonely.py", None),
        *((program, Unreadable) for program in ("missing.py", "broken.py", "-", "", "-m missing", "bin")),
    ],
)
def test_import_in_the_modules_of_a_program(program: str, found_in: Any, folder: Path) -> None:
    write_files(folder, SOURCES)
    words = program.split(" ") if program else []
    asked = Program(words, str(folder), [str(folder / "site")])
    if found_in is Unreadable:
        with pytest.raises(Unreadable):
            asked.find_import()
    else:
        found = asked.find_import()
        assert (found and found.place) == (found_in and f"{found_in}, line 1")


@pytest.mark.parametrize("name", ["livekit/agents/__init__.py", "livekit.py", "onenter_deadlock_fix/__init__.py"])
@pytest.mark.parametrize(("program", "directory"), [("agent.py", ""), ("-m agent", ""), ("../agent.py", "elsewhere")])
def test_folder_that_has_a_library_of_its_own(name: str, program: str, directory: str, tmp_path: Path) -> None:
    (tmp_path / "livekit").mkdir()  # alone, it hides nothing
    asked = Program(program.split(), str(tmp_path / directory), [])
    asked.check_folder()
    write_files(tmp_path, {name: ""})
    with pytest.raises(Unreadable):
        asked.check_folder()
