"""Run programs: commands, Python programs in forks, and functions in forks; and altered copies of livekit-agents.

An import of livekit-agents is two seconds of processor time, and most of that go to other packages. So what needs a
process of its own runs in a fork of one that has imported these packages already (``Forks``), or livekit-agents too. As
a program (``python programs.py MODULE ...``) this module is the server that all of these are forks of.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import multiprocessing
import os
import pickle
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Callable, TypeVar

TESTS = Path(__file__).parent
LIMIT = 600  # seconds; for what hangs. Nothing takes a tenth of that, but on a machine that has other things to do
# What pytest and livekit-agents import that takes long. None of it imports what is under test, or what that imports.
EXPENSIVE = (
    *("pytest", "aiohttp.web", "av", "google.protobuf.struct_pb2", "jwt", "numpy", "openai", "PIL.Image"),
    *("opentelemetry.exporter.otlp.proto.http._log_exporter", "opentelemetry.exporter.otlp.proto.http.trace_exporter"),
    *("prometheus_client.multiprocess", "psutil", "rich.columns", "typer", "watchfiles"),
)

Completed = subprocess.CompletedProcess[str]
Command = Callable[..., Completed]  # the fixture
Result = TypeVar("Result")
Variables = Mapping[str, str]


def clean_environment(variables: Variables | None = None) -> dict[str, str]:
    """Return this process's environment without what the package reads from it, and with these variables."""
    # without byte code, each process would compile anew what it imports
    ignored = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "AUTOWRAPT_BOOTSTRAP", "ONENTER_DEADLOCK_FIX")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ignored)}
    return {**kept, **(variables or {})}


def run(command: list[str], *, cwd: Path, env: Variables | None = None) -> Completed:
    """Run a command to its end, in a clean environment with these variables."""
    environment = clean_environment(env)
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)


def write_files(folder: Path, sources: Mapping[str, str]) -> None:
    """Write files, given as their path in a folder and their source, and the folders that they are in."""
    for path, source in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source)


def write_script(file: Path, source: str) -> None:
    """Write a file that can be executed."""
    write_files(file.parent, {file.name: source})
    file.chmod(0o755)


def wait_until(
    condition: Callable[[], object],
    process: subprocess.Popen[Any],
    report: Callable[[], str] = str,
    pause: Callable[[], None] = lambda: time.sleep(0.05),
) -> None:
    """Wait until a condition holds; fail with a report if the process ends before that, or nothing happens."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        returncode = process.poll()
        if returncode is not None and not condition():
            raise AssertionError(f"the process has ended with {returncode}\n{report()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing has happened for {LIMIT} seconds\n{report()}")
        pause()


@contextlib.contextmanager
def fork_server(*modules: str) -> Iterator[str]:
    """Start a process that imports these modules when it is first needed, and yield its address, for ``Forks``."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/socket")
        server.listen()
        process = subprocess.Popen([sys.executable, __file__, *modules], env=clean_environment(), stdin=server)
        try:
            yield f"{folder}/socket"
        finally:
            process.kill()
            process.wait()


class Forks:
    """A fork of a server that imports more modules, and programs and functions that run in forks of that."""

    def __init__(self, address: str, *modules: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            self._file = connection.makefile("rwb")
        self._send(modules)

    def run(self, arguments: list[str], *, cwd: Path, env: Variables | None = None) -> Completed:
        """Do as ``python`` does with these arguments: ``-c`` or ``-m`` and what follows, or a file and what follows."""
        code, stdout, stderr, _ = self._fork(_as_python, (arguments, clean_environment(env)), {}, cwd)
        return subprocess.CompletedProcess(arguments, code, stdout, stderr)

    def call(self, function: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Result:
        """Return what a function returns, or fail with what it raises. It must be found by its module and name."""
        code, _, stderr, result = self._fork(function, args, kwargs, TESTS)
        assert result is not None, f"{function} has ended with {code}\n{stderr}"
        value: Result = result[0]
        return value

    def close(self) -> None:
        self._file.close()

    def _send(self, message: Any) -> None:
        pickle.dump(message, self._file)
        self._file.flush()

    def _fork(self, function: Callable[..., Any], args: Any, kwargs: Any, cwd: Path) -> tuple[int, str, str, Any]:
        """Return exit code, output, error output, and in a tuple the result, which is None if there is none."""
        with tempfile.TemporaryDirectory() as folder:
            self._send((folder, str(cwd), pickle.dumps((function, args, kwargs))))
            code = int(self._file.readline())
            stdout, stderr = (Path(folder, name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
            result = Path(folder, "result")
            return code, stdout, stderr, pickle.loads(result.read_bytes()) if result.exists() else None


def call_without_library(test: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Call a test that is about the import of livekit-agents, which the test's file must not have imported."""
    assert "livekit.agents" not in sys.modules, "the test's file imports livekit-agents, so the import tests nothing"
    test(*args, **kwargs)


def map_in_forks(
    function: Callable[[Any], Result],
    arguments: Iterable[Any],
    *,
    at_once: int,
    one_after_another: int,
    failed: Callable[[Exception], Result],
) -> Iterator[Result]:
    """Yield what a function returns for each argument, in their order, or what ``failed`` makes of its failure.

    at_once: how many processes there are. one_after_another: how many calls a process is for.
    """
    with multiprocessing.get_context("fork").Pool(at_once, maxtasksperchild=one_after_another) as pool:
        for result in [pool.apply_async(function, (argument,)) for argument in arguments]:
            try:
                yield result.get(LIMIT)
            except Exception as error:  # of this one; the others go on
                yield failed(error)


class AlteredLibrary:
    """A copy of the installed livekit-agents to be altered, found in its place by programs that get ``env``."""

    def __init__(self, folder: Path) -> None:
        installed = importlib.metadata.distribution("livekit-agents").locate_file("livekit/agents")
        self._root = folder / "livekit" / "agents"
        shutil.copytree(str(installed), self._root)
        self.env = {"PYTHONPATH": str(folder)}

    def put_on_path(self) -> None:
        """Have this process find it in place of the installed one."""
        sys.path.insert(0, self.env["PYTHONPATH"])

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


def main(*modules: str) -> None:
    """Accept connections on standard input, import modules at the first one, and serve each in a fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for these forks
    with socket.socket(fileno=0) as server:
        connection, _ = server.accept()
        _import_all(modules)
        while os.fork():
            connection.close()
            connection, _ = server.accept()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _serve(connection)


def _serve(connection: socket.socket) -> None:
    """Import modules, and make the calls that are asked for in forks; answer each with its exit code."""
    file = connection.makefile("rwb")
    _import_all(pickle.load(file))
    while True:
        try:
            folder, cwd, call = pickle.load(file)
        except EOFError:
            return
        pid = os.fork()
        if pid == 0:
            os._exit(_in_fork(Path(folder), cwd, call))
        file.write(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        file.flush()


def _import_all(modules: Iterable[str]) -> None:
    for name in modules:
        with contextlib.suppress(ImportError):  # another release of livekit-agents does without it
            importlib.import_module(name)
    gc.freeze()  # so that no collection in a fork touches, and thereby copies, what it shares


def _in_fork(folder: Path, cwd: str, call: bytes) -> int:
    """Call a function, with its output and its result in files of a folder, and return the exit code."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.alarm(LIMIT)
    os.chdir(cwd)
    code = 0
    try:
        function, args, kwargs = pickle.loads(call)
        (folder / "result").write_bytes(pickle.dumps((function(*args, **kwargs),)))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException as error:
        report = traceback.TracebackException.from_exception(error, capture_locals=function is not _as_python)
        print(*report.format(), sep="", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _as_python(arguments: list[str], environment: Variables) -> None:
    os.environ.clear()
    os.environ.update(environment)
    first, *others = arguments
    folders = [str(Path(folder).absolute()) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:1] = [{"-c": "", "-m": os.getcwd()}.get(first, os.path.dirname(first)), *folders]
    if first == "-c":
        sys.argv = [first, *others[1:]]
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(others[0], "<string>", "exec"), vars(module))
    elif first == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
