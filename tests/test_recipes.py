"""Run the recipes of docs/activation.md, without Docker, in folders that are laid out like the images."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from programs import run, write_files, write_script
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

    def __init__(self, root: Path, command: list[str]) -> None:
        self.root, self.workdir, self.commands = root, root / "app", root / "usr" / "local" / "bin"
        for folder in (self.workdir, self.commands, root / "opt", root / "tmp"):
            folder.mkdir(parents=True)
        self.environment = {"PATH": os.pathsep.join([str(self.commands), os.environ["PATH"]])}
        self.entrypoint: list[str] = []
        self.command = command

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
                self.execute(rest)
            elif instruction == "ENTRYPOINT":
                self.entrypoint, self.command = json.loads(rest), []
            elif instruction == "CMD":
                self.command = json.loads(rest)
            else:
                assert instruction in ("FROM", "WORKDIR"), line  # the layout of the folder has both

    def start(self, environment: dict[str, str] | None = None) -> object:
        """Start a container, and return what its agent program has printed."""
        return json.loads(self.execute(shlex.join([*self.entrypoint, *self.command]), environment))

    def execute(self, command: str, environment: dict[str, str] | None = None) -> str:
        """Execute a command that must succeed, and return its output."""
        ended = run(["sh", "-c", command], cwd=self.workdir, env={**self.environment, **(environment or {})})
        assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
        return ended.stdout

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
    command = [sys.executable, "-m", "pip", *made.split(), str(ROOT)]
    ended = run(command, cwd=folder, env={"PIP_NO_BUILD_ISOLATION": "0"})
    assert ended.returncode == 0, ended.stderr
    (folder / "agent.py").write_text(AGENT)
    return folder


def add_packages(environment: Path) -> None:
    """Link what is installed here, but for this package, into an environment. pip uninstalls nothing through links."""
    variables = {"base": str(environment), "platbase": str(environment)}
    here, there = Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("purelib", vars=variables))
    for entry in here.iterdir():
        if entry.suffix == ".dist-info" and not entry.name.startswith("onenter_"):
            shutil.copytree(entry, there / entry.name)  # uv does not look into links
        elif entry.suffix not in (".dist-info", ".pth") and not (there / entry.name).exists():
            (there / entry.name).symlink_to(entry)


@pytest.fixture
def pip_image(tmp_path: Path) -> Image:
    """Return an image made with pip: its packages are in /usr/local."""
    image = Image(tmp_path / "root", ["python", "agent.py", "start"])
    venv.create(image.root / "usr" / "local", symlinks=True)
    add_packages(image.root / "usr" / "local")
    write_script(image.commands / "pip", '#!/bin/sh\nexec python -m pip "$@"\n')
    (image.workdir / "agent.py").write_text(AGENT)
    return image


@pytest.fixture
def uv_image(tmp_path: Path) -> Image:
    """Return an image made as LiveKit's starter is: uv has put its packages into /app/.venv."""
    image = Image(tmp_path / "root", ["uv", "run", "src/agent.py", "start"])
    (image.commands / "uv").symlink_to(find_uv_bin())
    project = f'[project]\nname = "agent"\nversion = "1"\nrequires-python = ">={sysconfig.get_python_version()}"\n'
    write_files(image.workdir, {"src/agent.py": AGENT, "pyproject.toml": project})
    # nothing of the tests' own environment is to be found, or written to
    image.environment.update(UV_OFFLINE="1", UV_PYTHON="", UV_PROJECT_ENVIRONMENT="", VIRTUAL_ENV="")
    image.execute(f"uv sync --python {shlex.quote(sys.executable)}")
    add_packages(image.workdir / ".venv")
    return image


def recipe(begin: str) -> str:
    """Return the code block of the docs that begins so."""
    (found,) = re.findall(rf"(?ms)^```\w+\n(?={re.escape(begin)})(.*?)^```$", PAGE)
    return found


def test_dockerfile_of_ones_own(pip_image: Image, wheel: Path) -> None:
    pip_image.build(recipe("FROM python:3.11-slim\nWORKDIR"), wheel)
    assert pip_image.start() == ACTIVE


def test_image_made_with_pip_with_and_without_an_entrypoint(pip_image: Image, wheel: Path) -> None:
    dockerfile = recipe("FROM your-pip-image")
    check = "\n".join(line for line in dockerfile.splitlines() if not line.startswith(("COPY", "RUN pip")))
    pip_image.build(dockerfile, wheel)
    assert pip_image.start() == ACTIVE
    pip_image.build('ENTRYPOINT ["python"]\nCMD ["agent.py", "start"]', wheel)
    assert pip_image.start() == ACTIVE
    with pytest.raises(AssertionError, match="NOT ACTIVE"):
        pip_image.build(check.replace("python3.11", "python3.0"), wheel)


def test_image_made_with_uv(uv_image: Image, wheel: Path) -> None:
    uv_image.build(recipe("FROM your-uv-image"), wheel)
    assert uv_image.start() == ACTIVE


def test_image_that_can_not_be_rebuilt(pip_image: Image, wheel: Path) -> None:
    install, echo, start, ask = recipe("pip install --no-deps --target").splitlines()
    ((folder, target),) = set(re.findall(r'-v "\$PWD/(\w+):(\S+):ro"', f"{start} {ask}"))
    made = run(["sh", "-c", f"{sys.executable} -m {install}"], cwd=wheel)
    assert made.returncode == 0, made.stderr
    shutil.copytree(wheel / folder, pip_image.inside(target))
    ((name, value),) = re.findall(r"^echo (\w+)=(\S+) > shim.env$", echo)
    environment = {name: pip_image.inside(value)}
    assert pip_image.start(environment) == ACTIVE
    pip_image.execute(" ".join(re.findall(r"--entrypoint (python) your-pip-image (.*)", ask)[0]), environment)


def test_kubernetes_manifest(pip_image: Image, wheel: Path) -> None:
    manifest = recipe("apiVersion:")
    pip_image.build(recipe("FROM python:3.11-slim\nCOPY"), wheel)
    (copies,) = re.findall(r"(?m)^ +command: (.*)$", manifest)
    (mounted,) = set(re.findall(r"mountPath: ([\w/]+)", manifest))
    Path(pip_image.inside(mounted)).mkdir()
    pip_image.execute(shlex.join(json.loads(pip_image.inside(copies))))
    variables = dict(re.findall(r"- name: ([A-Z]+)\n +value: (.*)", pip_image.inside(manifest)))
    assert pip_image.start(variables) == ACTIVE
    (ask,) = re.findall(r"`kubectl exec deploy/agent -- (.*?)`", PAGE)
    pip_image.execute(ask, variables)
