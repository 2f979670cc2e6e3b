"""What tests need and the extra ``test`` can't have: installed once, before the tests, and kept in pytest's cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from programs import TESTS, clean_environment


class Prepared:
    """Packages that are installed into a folder of their own, for the tests of a file."""

    test_file: Path
    packages: Sequence[str]

    def __init__(self, cache: Path) -> None:
        version = hashlib.sha256(repr((self.packages, sys.prefix, sys.version)).encode()).hexdigest()[:12]
        self.folder = cache / f"{self.test_file.stem}-{version}"
        self._ready = self.folder / "ready"

    def is_ready(self) -> bool:
        return self._ready.exists()

    def make(self) -> str:
        """Install the packages; return an empty string, or why that can't be."""
        shutil.rmtree(self.folder, ignore_errors=True)
        command = [*self.pip(), "--quiet", "--retries", "1", *self.packages]
        installed = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if installed.returncode:
            return (installed.stderr.strip().splitlines() or ["pip has failed"])[-1]
        self._ready.touch()
        return ""

    def pip(self) -> list[str]:
        """Return the command that installs into the folder, which it makes if need be."""
        raise NotImplementedError


class _OlderPackages(Prepared):
    """Older packages for PYTHONPATH. What they need is what those of the tests need, and is installed already."""

    def pip(self) -> list[str]:
        return [sys.executable, "-m", "pip", "install", "--no-deps", f"--target={self.folder}"]


class OldRelease(_OlderPackages):
    """An affected release that is older than that of the tests."""

    test_file = TESTS / "test_docs.py"
    packages = ("livekit-agents==1.2.8",)


class OldReleaseWithRealtimeModel(_OlderPackages):
    """The last release whose AgentTasks time out on a realtime model without the shim, with OpenAI's."""

    test_file = TESTS / "e2e" / "test_realtime_model.py"
    packages = ("livekit-agents==1.2.3", "livekit-plugins-openai==1.2.3")
