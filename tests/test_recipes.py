"""Run the recipes of docs/activation.md, without Docker, in folders that are laid out like the images."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import sysconfig
import venv
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from programs import Completed, run
from uv import find_uv_bin

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "activation.md").read_text(encoding="utf-8")
AGENT = """
import json, sys
import livekit.agents
shim = sys.modules.get("onenter_deadlock_fix")
print(json.dumps([sys.argv[1:], shim and shim.status().state]))
"""
ACTIVE = [["start"], "patched"]


class Image:
    """A folder that stands for a container's root, and what a Dockerfile sets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workdir = root / "app"
        self.environment = {"PATH": os.pathsep.join([str(root / "usr" / "local" / "bin"), os.environ["PATH"]])}
        self.entrypoint: list[str] = []
        self.command: list[str] = []

    def build(self, dockerfile: str, context: Path) -> None:
        """Follow the instructions of a Dockerfile that derives from this image."""
        for line in self.inside(dockerfile).replace("\\\n", " ").splitlines():
            instruction, _, rest = line.partition(" ")
            if instruction == "COPY":
                pattern, target = rest.split()
                for file in context.glob(pattern):
                    shutil.copy(file, self.workdir / target)
            elif instruction == "ENV":
                name, _, value = rest.partition("=")
                self.environment[name] = value
            elif instruction == "RUN":
                ended = self.shell(rest)
                assert ended.returncode == 0, (rest, ended.stdout, ended.stderr)
            elif instruction == "ENTRYPOINT":
                self.entrypoint, self.command = json.loads(rest), []
            elif instruction == "CMD":
                self.command = json.loads(rest)
            else:
                assert instruction in ("FROM", "WORKDIR"), line  # the layout of the folder has both

    def start(self, environment: dict[str, str] | None = None) -> object:
        """Start a container, and return what its agent program has printed."""
        ended = self.shell(shlex.join([*self.entrypoint, *self.command]), environment)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def shell(self, command: str, environment: dict[str, str] | None = None) -> Completed:
        return run(["sh", "-c", command], cwd=self.workdir, env={**self.environment, **(environment or {})})

    def inside(self, text: str) -> str:
        """Return a text with its absolute paths in the folder, and with the tests' Python for that of the docs."""
        text = re.sub(r"(?<![\w.$])/(?=(app|opt|shim|tmp|usr)\b)", f"{self.root}/", text)
        return text.replace("python3.11", f"python{sysconfig.get_python_version()}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that has the wheel, made as the docs say, and an agent program."""
    folder = tmp_path_factory.mktemp("context")
    (made,) = re.findall(r"(?m)^pip (wheel .*) /path/to/onenter-deadlock-fix$", PAGE)
    # by the hatchling that is installed here, and without the index
    ended = run(
        [sys.executable, "-m", "pip", *made.split(), str(ROOT)], cwd=folder, env={"PIP_NO_BUILD_ISOLATION": "0"}
    )
    assert ended.returncode == 0, ended.stderr
    (folder / "agent.py").write_text(AGENT)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of an image that has pip."""
    root = tmp_path_factory.mktemp("base")
    venv.create(root / "usr" / "local", symlinks=True, with_pip=True)
    add_packages(root / "usr" / "local", "livekit-agents")
    for name in ("app", "opt", "tmp"):
        (root / name).mkdir()
    (root / "app" / "agent.py").write_text(AGENT)
    return root


def add_packages(environment: Path, *names: str) -> None:
    """Put packages that are installed here, and all that they need, into an environment, without downloading them."""
    variables = {"base": str(environment), "platbase": str(environment)}
    folder = Path(sysconfig.get_path("purelib", vars=variables))
    added, missing = set(), list(names)
    while missing:
        distribution = metadata.distribution(missing.pop())
        name = distribution.metadata["Name"]
        if name in added:
            continue
        added.add(name)
        requirements = map(Requirement, distribution.requires or ())
        missing += [
            needed.name for needed in requirements if not needed.marker or needed.marker.evaluate({"extra": ""})
        ]
        for file in distribution.files or ():
            if str(file).startswith(("..", "/")) or "__pycache__" in file.parts:
                continue
            target = folder / file
            copy(Path(file.locate()), target)
            if target.suffix == ".py":  # else each image compiles all of it anew
                copy(Path(cache_from_source(str(file.locate()))), Path(cache_from_source(str(target))))


def copy(source: Path, target: Path) -> None:
    """Copy a file that is there, by a link where the file system has that: there are thousands."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


@pytest.fixture
def pip_image(base: Path, tmp_path: Path) -> Image:
    """Return an image made with pip: its packages are in /usr/local."""
    image = Image(tmp_path / "root")
    shutil.copytree(
        base, image.root, symlinks=True, copy_function=lambda source, target: copy(Path(source), Path(target))
    )
    pip = image.root / "usr" / "local" / "bin" / "pip"
    pip.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n')  # its own names the folder it was made in
    image.command = ["python", "agent.py", "start"]
    return image


@pytest.fixture
def uv_image(tmp_path: Path) -> Image:
    """Return an image made as LiveKit's starter is: uv has put its packages into /app/.venv."""
    image = Image(tmp_path / "root")
    (image.workdir / "src").mkdir(parents=True)
    (image.workdir / "src" / "agent.py").write_text(AGENT)
    project = f'[project]\nname = "agent"\nversion = "1"\nrequires-python = ">={sysconfig.get_python_version()}"\n'
    (image.workdir / "pyproject.toml").write_text(project)
    commands = image.root / "usr" / "local" / "bin"
    for folder in (commands, image.root / "tmp"):
        folder.mkdir(parents=True)
    (commands / "uv").symlink_to(find_uv_bin())
    # nothing of the tests' own environment is to be found, or written to
    image.environment.update(UV_OFFLINE="1", UV_PYTHON="", UV_PROJECT_ENVIRONMENT="", VIRTUAL_ENV="")
    synchronized = image.shell(f"uv sync --python {shlex.quote(sys.executable)}")
    assert synchronized.returncode == 0, synchronized.stderr
    add_packages(image.workdir / ".venv", "livekit-agents", "wrapt", "packaging", "python-dotenv")  # uv is offline
    image.command = ["uv", "run", "src/agent.py", "start"]
    return image


def recipe(begin: str) -> str:
    """Return the code block of the docs that begins so."""
    (found,) = re.findall(rf"(?ms)^```\w+\n(?={re.escape(begin)})(.*?)^```$", PAGE)
    return found


def test_dockerfile_of_ones_own(pip_image: Image, wheel: Path) -> None:
    pip_image.build(recipe("FROM python:3.11-slim\nWORKDIR"), wheel)
    assert pip_image.start() == ACTIVE


@pytest.mark.parametrize("entrypoint", [None, '["python"]'])
def test_image_made_with_pip(pip_image: Image, wheel: Path, entrypoint: str | None) -> None:
    if entrypoint:
        pip_image.build(f'ENTRYPOINT {entrypoint}\nCMD ["agent.py", "start"]', wheel)
    pip_image.build(recipe("FROM your-pip-image"), wheel)
    assert pip_image.start() == ACTIVE


def test_image_made_with_uv(uv_image: Image, wheel: Path) -> None:
    uv_image.build(recipe("FROM your-uv-image"), wheel)
    assert uv_image.start() == ACTIVE


def test_wrong_path_fails_the_build(pip_image: Image, wheel: Path) -> None:
    with pytest.raises(AssertionError, match="NOT ACTIVE"):
        pip_image.build(recipe("FROM your-pip-image").replace("python3.11", "python3.0"), wheel)


def test_image_that_can_not_be_rebuilt(pip_image: Image, wheel: Path) -> None:
    install, echo, start, ask = recipe("pip install --no-deps --target").splitlines()
    made = run([sys.executable, "-m", *shlex.split(install.replace("*", made_version(wheel)))], cwd=wheel)
    assert made.returncode == 0, made.stderr
    ((folder, target),) = set(re.findall(r'-v "\$PWD/(\w+):(\S+):ro"', f"{start} {ask}"))
    shutil.copytree(wheel / folder, pip_image.inside(target))
    ((name, value),) = re.findall(r"^echo (\w+)=(\S+) > shim.env$", echo)
    environment = {name: pip_image.inside(value)}
    assert pip_image.start(environment) == ACTIVE
    asked = pip_image.shell(" ".join(re.findall(r"--entrypoint (python) your-pip-image (.*)", ask)[0]), environment)
    assert asked.returncode == 0, asked.stdout


def made_version(wheel: Path) -> str:
    """Return what the asterisk in the name of the wheel stands for."""
    (file,) = wheel.glob("*.whl")
    return file.name[len("onenter_deadlock_fix-") : -len(".whl")]


def test_kubernetes_manifest(pip_image: Image, wheel: Path) -> None:
    manifest = recipe("apiVersion:")
    pip_image.build(recipe("FROM python:3.11-slim\nCOPY"), wheel)
    (copies,) = re.findall(r"(?m)^ +command: (.*)$", manifest)
    (mounted,) = set(re.findall(r"mountPath: ([\w/]+)", manifest))
    Path(pip_image.inside(mounted)).mkdir()
    copied = pip_image.shell(shlex.join(json.loads(pip_image.inside(copies))))
    assert copied.returncode == 0, copied.stderr
    variables = dict(re.findall(r"- name: ([A-Z]+)\n +value: (.*)", pip_image.inside(manifest)))
    assert pip_image.start(variables) == ACTIVE
    (ask,) = re.findall(r"`kubectl exec deploy/agent -- (.*?)`", PAGE)
    asked = pip_image.shell(ask, variables)
    assert asked.returncode == 0, asked.stdout
