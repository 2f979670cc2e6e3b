"""``status -- COMMAND``: whether the shim is active in a command, without executing its program."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence

from ..environment.examination import Environment, NotExamined, examine
from ..environment.others import made_for_one_command
from ..environment.text import quoted
from .entrypoint import Program, Unreadable
from .env_command import split_strings
from .obstacles import find_obstacle, first_bytes, shebang
from .own_command import own_command
from .python_command import PythonCommand, basename, find_python
from .status import StatusReport, Verdict, verdict_on

# Programs that only execute the rest of their command -> their options whose value is the next word. The probe replaces
# the program of the command, so any other word before the interpreter is refused: it might be a program, too.
_LAUNCHERS = {
    **dict.fromkeys(("nohup", "setsid", "ddtrace-run", "elasticapm-run", "newrelic-admin"), ""),
    "env": "-u --unset -C --chdir -a --argv0",
    "nice": "-n --adjustment",
    "ionice": "-c --class -n --classdata",
    "timeout": "-k --kill-after -s --signal",
    "stdbuf": "-i --input -o --output -e --error",
    "tini": "-e -p",
    "dumb-init": "-r --rewrite",
    "uv": "-p --python --with --with-editable --with-requirements --env-file --directory --project --package --group",
    "poetry": "-C --directory -P --project",
    **dict.fromkeys(("conda", "micromamba"), "-n --name -p --prefix --cwd"),
    "onenter-deadlock-fix": "--detect --detect-after",
    "opentelemetry-instrument": "--traces_exporter --metrics_exporter --logs_exporter --service_name",
    "python": "-m",  # python -m onenter_deadlock_fix
}
_SUBCOMMAND_OR_VALUE = re.compile(r"run|run-program|[\d.]+[smhd]?|\w+=.*", re.DOTALL)
_UV_SCRIPT = b"# /// script"  # "uv run" gives a program with this line an environment of its own


class _UnknownPython(Exception):
    """It is unknown which Python a command starts; the message has the reason."""


def report_on_command(command: Sequence[str]) -> StatusReport:
    """Start the command's interpreter without its program, read the program, and return the status."""
    try:
        python = _python_of(split_strings(command))
        environment = examine([*python.launcher, *python.interpreter()])
        program = Program(python.program, environment.working_directory, environment.path)
        program.check_folder()
    except (_UnknownPython, NotExamined, Unreadable) as error:
        return StatusReport(Environment(reason=str(error)), "can't say", str(error), command=command)
    verdict, reason = verdict_on(environment), environment.reason
    if verdict == "ready":
        verdict, reason = _verdict_on_program(command, program, environment)
    elif verdict == "not ready":
        verdict = "not active"
    return StatusReport(environment, verdict, reason, made_for_one_command(environment), command)


def _verdict_on_program(command: Sequence[str], program: Program, environment: Environment) -> tuple[Verdict, str]:
    if environment.active_by_itself:
        return "active", "its Python activates the shim by itself, as soon as it imports livekit.agents"
    try:
        shim_import = program.find_import()
    except Unreadable as error:
        return "can't say", f"its Python does not activate the shim by itself, and {error}"
    if shim_import is None:
        run = [*own_command(), "run"]
        obstacle = find_obstacle(command, run)
        instead = shlex.join(obstacle.instead if obstacle else [*run, *command])
        return "not active", (
            "its Python does not activate the shim by itself, and its program does not import onenter_deadlock_fix; "
            f"add the import, or start it by: {instead}"
        )
    if not shim_import.is_certain:
        return "can't say", f"it depends on a condition whether onenter_deadlock_fix is imported ({shim_import.place})"
    return "active", f"its program imports onenter_deadlock_fix ({shim_import.place})"


def _python_of(command: Sequence[str]) -> PythonCommand:
    """Return the interpreter that a command starts, and the program; raise ``_UnknownPython`` if that is unknown."""
    executable = shutil.which(command[0])
    if executable is None:
        raise _UnknownPython(f"{quoted(command[0])}: command not found")
    candidates = [python for python in (find_python(command), _python_of_uv(command)) if python]
    python = min(candidates, key=lambda candidate: len(candidate.launcher), default=None)
    unknown = _unknown_word(python.launcher) if python else command[0]
    if python and unknown is None:
        return python
    first_line = shebang(executable)
    if unknown == command[0] and find_python(first_line):
        return _python_of(split_strings([*first_line, executable, *command[1:]]))
    raise _UnknownPython(
        f"it can't be seen what {quoted(unknown or command[0])} executes; check the command that it finally runs, for "
        f"example: {shlex.join(own_command())} status -- python agent.py start"
    )


def _unknown_word(launcher: Sequence[str]) -> str | None:
    """Return the first word before the interpreter that may be another program, or None."""
    options = None
    for previous, word in zip(["", *launcher], launcher):
        name = "python" if find_python([word]) else basename(word)
        if options is not None and (
            word.startswith("-") or previous in options or _SUBCOMMAND_OR_VALUE.fullmatch(word)
        ):
            continue
        if name not in _LAUNCHERS:
            return word
        options = _LAUNCHERS[name].split()
    return None


def _python_of_uv(command: Sequence[str]) -> PythonCommand | None:
    """Return the interpreter of ``uv run agent.py`` and ``uv run -m agent``, which do not name it."""
    is_uv = False
    for position, word in enumerate(command):
        is_uv = is_uv or basename(word) == "uv"
        if is_uv and (word in ("-m", "--module") or word.endswith(".py")) and _UV_SCRIPT not in first_bytes(word):
            program = [word if word.endswith(".py") else "-m", *command[position + 1 :]]
            return PythonCommand(list(command[:position]), "python", [], program)
    return None
