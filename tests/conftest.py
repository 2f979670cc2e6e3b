"""What the tests share: Python programs, the command and agent programs, run in processes of their own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable

import observing
import pytest
from prepared import Environment, OldRelease, OldReleaseWithRealtimeModel, Prepared
from programs import EXPENSIVE, AlteredLibrary, Completed, Forks, call_without_library, fork_server, run

pytest.register_assert_rewrite("detecting")


def pytest_configure(config: pytest.Config) -> None:
    marker = "in_fork(fixture='forks'): call the test in a fork of that fixture's process; False: in no fork"
    config.addinivalue_line("markers", marker)


@pytest.fixture(autouse=True)
def in_fork(request: pytest.FixtureRequest) -> None:
    """Have a test with the marker ``in_fork`` called in a fork, with its arguments, which must be picklable."""
    marker = request.node.get_closest_marker("in_fork")
    fixture = marker and (marker.args or ("forks",))[0]
    if fixture:
        test = request.function if fixture == "library" else partial(call_without_library, request.function)
        request.node.obj = partial(request.getfixturevalue(fixture).call, test)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make what the selected tests need, before the tests, and where it is not there yet."""
    config = session.config
    selected = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    if hasattr(config, "workerinput") or not hasattr(config, "cache"):
        return
    server = contextlib.ExitStack()
    os.environ["FORK_SERVER"] = server.enter_context(fork_server(*EXPENSIVE))
    config.add_cleanup(server.close)
    kinds = (Environment, OldRelease, OldReleaseWithRealtimeModel)
    setups = [kind(config.cache.mkdir("onenter-deadlock-fix")) for kind in kinds]  # type: ignore[union-attr]
    wanted = [setup for setup in setups if not {setup.test_file, *setup.test_file.parents}.isdisjoint(selected)]
    needed = [setup for setup in wanted if not setup.ready.exists()]
    manager = config.pluginmanager.getplugin("capturemanager")
    with manager.global_and_fixture_disabled(), ThreadPoolExecutor() as at_once:
        for setup in needed:
            print(f"for {setup.test_file.name}, pip installs {' '.join(setup.packages)}, once", flush=True)
        for setup, failure in zip(needed, at_once.map(Prepared.make, needed)):
            if failure:
                print(f"what needs that in {setup.test_file.name} will be skipped: {failure}", flush=True)


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest) -> Callable[[type[Prepared]], Prepared]:
    """Return what was made before the tests, or skip what needs it."""

    def prepared(kind: type[Prepared]) -> Prepared:
        packages = kind(request.config.cache.mkdir("onenter-deadlock-fix"))  # type: ignore[union-attr]
        if not packages.ready.exists():
            pytest.skip(f"{' '.join(kind.packages)} could not be installed; the first lines of this run say why")
        return packages

    return prepared


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Completed]:
    """Run a Python program, given as its source, in a process of its own and an empty folder."""

    def run_python(source: str, *options: str, env: dict[str, str] | None = None) -> Completed:
        return run([sys.executable, *options, "-c", source], cwd=tmp_path, env=env)

    return run_python


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """A process that has imported most of what livekit-agents imports, but not livekit-agents, to be forked."""
    with contextlib.closing(Forks(os.environ["FORK_SERVER"])) as forks:
        yield forks


@pytest.fixture(scope="session")
def bare_forks() -> Iterator[Forks]:
    """A process that has imported nothing of all this, to be forked where it matters what is imported when."""
    with fork_server("pytest") as address, contextlib.closing(Forks(address)) as bare_forks:
        yield bare_forks


@pytest.fixture(scope="session")
def library() -> Iterator[Forks]:
    """A process that has imported the package and livekit-agents, to be forked."""
    modules = ("playing", "scenarios.stage", "random_programs.perform")
    with contextlib.closing(Forks(os.environ["FORK_SERVER"], *modules)) as library:
        yield library


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
