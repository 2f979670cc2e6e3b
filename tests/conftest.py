"""What the tests share: Python programs in processes of their own, and altered copies of the real livekit-agents."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest

Completed = subprocess.CompletedProcess[str]


def run(arguments: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> Completed:
    """Run a command to its end, in the tests' environment without what the shim reads from it."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ONENTER_DEADLOCK_FIX", "PYTHONPATH", "AUTOWRAPT_BOOTSTRAP")
    }
    return subprocess.run(
        arguments, cwd=cwd, env={**clean, **(env or {})}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Completed]:
    """Run a Python program, given as its source, in a process of its own and an empty folder."""

    def run_python(source: str, *options: str, env: dict[str, str] | None = None) -> Completed:
        return run([sys.executable, *options, "-c", textwrap.dedent(source)], cwd=tmp_path, env=env)

    return run_python


@pytest.fixture
def tell(python: Callable[..., Completed]) -> Callable[..., Any]:
    """Run a Python program that must succeed, and return the JSON value that it prints."""

    def run_and_read(source: str, *options: str, env: dict[str, str] | None = None) -> Any:
        ended = python(source, *options, env=env)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run_and_read


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Completed]:
    """Run ``onenter-deadlock-fix`` in an empty folder, which is ``tmp_path``."""

    def run_command(*arguments: str, env: dict[str, str] | None = None) -> Completed:
        return run([sys.executable, "-m", "onenter_deadlock_fix", *arguments], cwd=tmp_path, env=env)

    return run_command


class AlteredLibrary:
    """A copy of the installed livekit-agents to be altered, found in its place by programs that get ``env``."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.find_spec("livekit.agents")
        assert spec is not None
        assert spec.submodule_search_locations
        self._root = folder / "livekit" / "agents"
        shutil.copytree(spec.submodule_search_locations[0], self._root)
        self.env = {"PYTHONPATH": str(folder)}

    def replace(self, old: str, new: str, *modules: str) -> None:
        """Replace a text in modules, each of which must have it."""
        for module in modules:
            path = self._root / module
            source = path.read_text()
            assert old in source, f"{module} has no {old!r}"
            path.write_text(source.replace(old, new))

    def append(self, text: str, module: str) -> None:
        with (self._root / module).open("a") as source:
            source.write(textwrap.dedent(text))

    def set_version(self, version: str) -> None:
        (self._root / "version.py").write_text(f"__version__ = {version!r}\n")


@pytest.fixture
def altered(tmp_path: Path) -> AlteredLibrary:
    return AlteredLibrary(tmp_path / "altered")
