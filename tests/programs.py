"""Programs in processes of their own, and altered copies of the real livekit-agents for them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import textwrap
from pathlib import Path

from forking import clean_environment

Completed = subprocess.CompletedProcess[str]


def run(arguments: list[str], *, cwd: Path, env: dict[str, str] | None = None, timeout: float = 120) -> Completed:
    """Run a command to its end, in the tests' environment without what the shim reads from it."""
    environment = {**clean_environment(), **(env or {})}
    return subprocess.run(
        arguments, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


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
