"""An environment that programs here may use instead of the one that was examined is warned of."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from programs import write_script
from test_status_command import describe

from onenter_deadlock_fix.environment.examination import Environment
from onenter_deadlock_fix.environment.others import other_environments


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment that was examined, with no other one at hand, in an empty working directory."""
    (tmp_path / "work" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "here")
    for variable in ("UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "")
    environment = make_environment(tmp_path / "cache" / "examined")
    command = Path(environment.folder, "bin", "onenter-deadlock-fix")
    shutil.copy(command.with_name("python3"), command)
    monkeypatch.setattr("sys.argv", [str(command)])
    return environment


def make_environment(folder: Path, release: str = "1.3.5") -> Environment:
    packages = folder / "lib" / "python3.12" / "site-packages"
    describe(packages, "livekit-agents", release)
    write_script(folder / "bin" / "python3", "")
    return Environment(folder=str(folder), path=(str(packages),), livekit_agents=release)


@pytest.mark.parametrize("variable", [None, "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "CONDA_PREFIX", "PATH"])
@pytest.mark.parametrize("folder", ["work/here/.venv", "work/.venv"])
def test_environment_at_hand_is_warned_of(
    folder: str, variable: str | None, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / (f"other {folder}" if variable else folder)
    packages = make_environment(other, "1.3.4").path[0]
    if variable:
        monkeypatch.setenv(variable, f"{other}/bin:{environment.folder}/bin" if variable == "PATH" else str(other))
    ask = f"{shlex.quote(f'{other}/bin/onenter-deadlock-fix')} status"
    warning = f"this does not cover {shlex.quote(str(other))}, which has livekit-agents 1.3.4; to check it: "
    assert other_environments(environment) == [f"{warning}install onenter-deadlock-fix in it, and {ask}"]

    describe(Path(packages), "onenter-deadlock-fix", "0.1.0")
    assert other_environments(environment) == [f"{warning}{ask}"]


def test_this_environment_by_another_name_and_one_without_the_library_are_not_warned_of(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "active").symlink_to(environment.folder)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    monkeypatch.setenv("CONDA_PREFIX", "/no/such")
    on_path = make_environment(tmp_path / "on path")  # this command was not found there, but called by its path
    monkeypatch.setenv("PATH", f"{on_path.folder}/bin")
    (tmp_path / "work" / ".venv" / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    assert other_environments(environment) == []


def test_livekit_agents_of_the_working_directory_is_warned_of(environment: Environment) -> None:
    Path("livekit", "agents").mkdir(parents=True)
    assert other_environments(environment) == [
        "this does not cover livekit/agents in this folder, which a program in the folder imports"
    ]


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml", "pyvenv.cfg"])
def test_environment_that_was_made_for_the_command_is_warned_of(
    mark: str, environment: Environment, tmp_path: Path
) -> None:
    folder = Path(environment.folder)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.9\n")
    (folder.parent / "CACHEDIR.TAG").touch()  # as nox does in a project
    assert other_environments(environment) == []
    (folder / mark).write_text("relocatable = true\n")
    (warning,) = other_environments(environment)
    assert warning.startswith(f"{environment.folder} was made for this command alone, by uvx or pipx")

    project = make_environment(tmp_path / "project")
    for name in ("CACHEDIR.TAG", "pyvenv.cfg"):  # as in an environment of uv's
        Path(project.folder, name).touch()
    laid_over_it = replace(environment, path=(*environment.path, *project.path))  # by "uv run --with"
    assert other_environments(laid_over_it) == []
