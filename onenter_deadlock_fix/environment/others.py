"""Find the environments that programs here may use instead of the one that was examined."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .examination import Environment
from .text import quoted

_LIBRARY, _SHIM = "livekit-agents", "onenter-deadlock-fix"
# the last two are Debian's: one for its own packages, one for those that pip has installed
_PACKAGES = ("lib/python*/site-packages", "lib/python*/dist-packages", "local/lib/python*/dist-packages")
_PACKAGES_ON_WINDOWS = "Lib/site-packages"
_RECEIPTS = ("pipx_metadata.json", "uv-receipt.toml")  # in an environment that pipx or "uv tool install" created
_TEMPORARY = ("relocatable = true", "extends-environment = ")  # in the pyvenv.cfg of those for uvx and "uv run --with"
_CACHE_TAG = "CACHEDIR.TAG"  # marks a folder as a cache, see https://bford.info/cachedir/


def other_environments(environment: Environment) -> list[str]:
    """Return a warning for each other environment with livekit-agents that programs here may use.

    These are the nearest ``.venv`` in or above the working directory, the active environment, and the environment of
    ``python`` on PATH, if this command was found on PATH. Nothing in them is executed. A further warning is returned
    if this environment was made for this command alone.
    """
    folders = {os.path.realpath(folder): folder for folder in _candidates() if folder and os.path.isdir(folder)}
    warnings = [_warning(Path(os.path.abspath(folder)), environment) for folder in folders.values()]
    if os.path.isdir("livekit/agents") and os.path.abspath("livekit/agents") != environment.library_folder:
        warnings.append("this does not cover livekit/agents in this folder, which a program in the folder imports")
    return [*made_for_one_command(environment), *filter(None, warnings)]


def made_for_one_command(environment: Environment) -> list[str]:
    """Return a warning if uvx or pipx created this environment for this command, so that no program runs in it."""
    folder = Path(environment.folder)
    if not _is_temporary(folder) and not any((folder / receipt).exists() for receipt in _RECEIPTS):
        return []
    others = (Path(entry) for entry in environment.path if folder not in Path(entry).parents)
    if any(_version_of(_LIBRARY, [entry]) and not _is_cached(entry) for entry in others):
        return []  # "uv run --with" has laid this environment over that of a project
    return [
        f"{quoted(folder)} was made for this command alone, by uvx or pipx, and no program of yours runs in it; "
        f"install {_SHIM} beside the livekit-agents of your program, and use the command there"
    ]


def _candidates() -> Iterator[str | None]:
    with contextlib.suppress(OSError):  # the working directory may have been removed
        here = Path.cwd()
        yield next((str(folder / ".venv") for folder in (here, *here.parents) if (folder / ".venv").is_dir()), None)
    for variable in ("UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "CONDA_PREFIX"):
        yield os.environ.get(variable)
    command = shutil.which(_SHIM)
    if command and os.path.realpath(command) == os.path.realpath(sys.argv[0]):
        pythons = filter(None, map(shutil.which, ("python", "python3")))
        yield from (os.path.dirname(os.path.dirname(os.path.abspath(python))) for python in pythons)


def _warning(folder: Path, environment: Environment) -> str | None:
    packages = [*(found for pattern in _PACKAGES for found in folder.glob(pattern)), folder / _PACKAGES_ON_WINDOWS]
    release = _version_of(_LIBRARY, packages)
    if release is None or os.path.realpath(folder) == os.path.realpath(environment.folder):
        return None
    is_below = not {*map(os.path.realpath, packages)}.isdisjoint(map(os.path.realpath, environment.path))
    if is_below and release == _version_of(_LIBRARY, environment.path):
        return None  # "uv run --with" has laid this environment over it
    commands = folder / ("Scripts" if (folder / "Scripts").is_dir() else "bin")
    install = "" if _version_of(_SHIM, packages) else f"install {_SHIM} in it, and "
    return (
        f"this does not cover {quoted(folder)}, which has {_named(release)}; "
        f"to check it: {install}{quoted(commands / _SHIM)} status"
    )


def _named(release: str) -> str:
    """Return the release for people, unless it is invalid: it comes from a file with any content."""
    try:
        return f"{_LIBRARY} {Version(release)}"
    except InvalidVersion:
        return f"a {_LIBRARY}"


def _is_temporary(folder: Path) -> bool:
    """Return whether uv created an environment in its cache; nox keeps a project's environments in a cache, too."""
    try:
        configuration = (folder / "pyvenv.cfg").read_text(errors="replace")
    except OSError:
        return False
    return _is_cached(folder) and any(setting in configuration for setting in _TEMPORARY)


def _is_cached(path: Path) -> bool:
    """Return whether a parent folder is marked as a cache; uv marks environments, too, which do not count."""
    return any((parent / _CACHE_TAG).exists() and not (parent / "pyvenv.cfg").exists() for parent in path.parents)


def _version_of(distribution: str, folders: Sequence[str | Path]) -> str | None:
    """Return the version of a distribution that is installed in these folders, or None."""
    with contextlib.suppress(Exception):  # its metadata folder may be empty
        found = importlib.metadata.distributions(name=distribution, path=list(map(str, folders)))
        return next((distribution.version for distribution in found), None)
    return None
