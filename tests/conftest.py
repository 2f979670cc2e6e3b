"""What the tests share: Python programs, the command and agent programs, run in processes of their own."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Callable

import observing
import pytest
from installed_once import OldRelease
from other_tools import Environment
from programs import AlteredLibrary, Completed, Forks, run


def pytest_sessionstart(session: pytest.Session) -> None:
    """Install what some tests need beside the extra ``test``, before the tests, and where it is not there yet."""
    config = session.config
    if hasattr(config, "workerinput") or not hasattr(config, "cache"):
        return
    selected = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    for kind in (Environment, OldRelease):
        needed = kind(config)
        if needed.is_missing(selected):
            with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
                print(f"installing {', '.join(kind.PACKAGES)} for {kind.TESTS.name}, once", flush=True)
                failure = needed.install()
                if failure:
                    print(f"they can't be installed, and {kind.TESTS.name} will be skipped: {failure}", flush=True)


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Completed]:
    """Run a Python program, given as its source, in a process of its own and an empty folder."""

    def run_python(source: str, *options: str, env: dict[str, str] | None = None) -> Completed:
        return run([sys.executable, *options, "-c", textwrap.dedent(source)], cwd=tmp_path, env=env)

    return run_python


@pytest.fixture
def tell_from_the_start(python: Callable[..., Completed]) -> Callable[..., Any]:
    """Run a Python program that must succeed, in a process that has just started, and return the JSON it prints."""

    def run_and_read(source: str, env: dict[str, str] | None = None) -> Any:
        ended = python(source, env=env)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run_and_read


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """A process that has imported what livekit-agents imports, but not livekit-agents, to be forked."""
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def library() -> Iterator[Forks]:
    """A process that has imported the package and livekit-agents, to be forked."""
    library = Forks("playing", "scenarios.stage", "random_programs.perform")
    yield library
    library.close()


@pytest.fixture
def tell(forks: Forks, tmp_path: Path) -> Callable[..., Any]:
    """Run a Python program that must succeed, in a fork and an empty folder, and return the JSON value it prints."""

    def run_and_read(source: str, env: dict[str, str] | None = None) -> Any:
        ended = forks.run(["-c", textwrap.dedent(source)], cwd=tmp_path, env=env)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run_and_read


@pytest.fixture
def play(library: Forks) -> Callable[..., Any]:
    """Play a program, which is a coroutine function, in a fork (see ``playing.play``), and return what came of it."""
    from playing import play

    return partial(library.call, play)


@pytest.fixture
def observe(forks: Forks) -> Callable[..., Any]:
    """Import the package and livekit-agents in a fork (see ``observing.observe``), and return what a program sees."""
    return partial(forks.call, observing.observe)


@pytest.fixture
def command(forks: Forks, tmp_path: Path) -> Callable[..., Completed]:
    """Run ``onenter-deadlock-fix`` in a fork and an empty folder, which is ``tmp_path``."""

    def run_command(*arguments: str, env: dict[str, str] | None = None) -> Completed:
        return forks.run(["-m", "onenter_deadlock_fix", *arguments], cwd=tmp_path, env=env)

    return run_command


@pytest.fixture
def altered(tmp_path: Path) -> AlteredLibrary:
    return AlteredLibrary(tmp_path / "altered")
