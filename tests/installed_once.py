"""Packages that tests need beside the extra ``test``: installed once, before the tests, and kept in pytest's cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import pytest
from programs import TESTS, clean_environment

Self = TypeVar("Self", bound="InstalledOnce")


class InstalledOnce:
    """A folder of pytest's cache with packages, which the tests of one file need."""

    PACKAGES: tuple[str, ...]
    TESTS: Path

    def __init__(self, config: pytest.Config) -> None:
        version = hashlib.sha256(repr((self.PACKAGES, sys.prefix, sys.version)).encode()).hexdigest()[:12]
        cache: Path = config.cache.mkdir("onenter-deadlock-fix")  # type: ignore[union-attr]
        self.folder = cache / f"{type(self).__name__}-{version}"
        self._ready = self.folder / "ready"

    @classmethod
    def or_skip(cls: type[Self], config: pytest.Config) -> Self:
        """Return what is installed, or skip the test."""
        installed = cls(config) if hasattr(config, "cache") else None
        if installed is None or not installed._ready.exists():
            pytest.skip(f"{', '.join(cls.PACKAGES)} could not be installed; the first lines of this run say why")
        return installed

    def is_missing(self, selected: list[Path]) -> bool:
        """Return whether files or folders that are selected need it, and it is not installed."""
        return not self._ready.exists() and any(path in (self.TESTS, *self.TESTS.parents) for path in selected)

    def install(self) -> str:
        """Install the packages, and return an empty string, or why that can't be."""
        shutil.rmtree(self.folder, ignore_errors=True)
        command = [*self.pip_install(), "--quiet", "--retries", "1", *self.PACKAGES]
        installed = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if installed.returncode:
            return (installed.stderr.strip().splitlines() or ["pip has failed"])[-1]
        self._ready.touch()
        return ""

    def pip_install(self) -> list[str]:
        """Return the command that installs into the folder what it is followed by."""
        raise NotImplementedError


class OldRelease(InstalledOnce):
    """livekit-agents 1.2.3 and its openai plugin, for PYTHONPATH; what they need is installed for the tests already."""

    PACKAGES = ("livekit-agents==1.2.3", "livekit-plugins-openai==1.2.3")
    TESTS = TESTS / "e2e" / "test_realtime_model.py"

    def pip_install(self) -> list[str]:
        return [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(self.folder)]
