"""``status -- COMMAND``: whether the shim is active in a command, without executing its program."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence

from ..environment.examination import Environment, NotExamined, examine
from ..environment.others import made_for_one_command
from ..environment.text import quoted
from .entrypoint import Program, Unreadable
from .env_command import split_strings
from .obstacles import beginning, find_obstacle, shebang
from .own_command import own_command
from .python_command import PythonCommand, basename, find_python
from .status import StatusReport, Verdict, verdict_on

# These execute the rest of their command and nothing else, so they are executed with another program in its place.
_LAUNCHERS = {
    *("env", "nice", "nohup", "timeout", "setsid", "stdbuf", "ionice", "chrt", "taskset", "tini", "dumb-init"),
    *("uv", "poetry", "conda", "micromamba"),
    *("onenter-deadlock-fix", "opentelemetry-instrument", "ddtrace-run", "newrelic-admin", "elasticapm-run"),
}
_UV_SCRIPT = b"# /// script"  # "uv run" gives a program with this line an environment of its own


class _NotSeen(Exception):
    """It can't be seen which Python a command starts; the message says why."""


def report_on_command(command: Sequence[str]) -> StatusReport:
    """Start the command's interpreter without its program, read the program, and return what that leads to."""
    try:
        python = _python_of(split_strings(command))
        environment = examine([*python.launcher, *python.interpreter()])
        program = Program(python.program, environment.working_directory, environment.path)
        program.check_folder()
    except (_NotSeen, NotExamined, Unreadable) as error:
        return StatusReport(Environment(reason=str(error)), "can't say", str(error), command=command)
    verdict, reason = verdict_on(environment), environment.reason
    if verdict == "ready":
        verdict, reason = _verdict_on_program(command, program, environment)
    elif verdict == "not ready":
        verdict = "not active"
    return StatusReport(environment, verdict, reason, made_for_one_command(environment), command)


def _verdict_on_program(command: Sequence[str], program: Program, environment: Environment) -> tuple[Verdict, str]:
    if environment.active_by_itself:
        return "active", "its Python has the shim by itself, as soon as it imports livekit.agents"
    try:
        found = program.find_import()
    except Unreadable as error:
        return "can't say", f"its Python does not have the shim by itself, and {error}"
    if found is None:
        run = [*own_command(), "run"]
        obstacle = find_obstacle(command, run)
        instead = shlex.join(obstacle.instead if obstacle else [*run, *command])
        return "not active", (
            "its Python does not have the shim by itself, and its program does not import onenter_deadlock_fix; "
            f"add the import, or start it by: {instead}"
        )
    if not found.is_certain:
        return "can't say", f"it depends on a condition whether onenter_deadlock_fix is imported ({found.place})"
    return "active", f"its program imports onenter_deadlock_fix ({found.place})"


def _python_of(command: Sequence[str]) -> PythonCommand:
    """Return the interpreter that a command starts, and the program; raise ``_NotSeen`` where that can't be seen."""
    executable = shutil.which(command[0])
    if executable is None:
        raise _NotSeen(f"{quoted(command[0])}: command not found")
    found = find_python(command) or _python_of_uv(command)
    unknown = [word for word in (found.launcher if found else command[:1]) if _may_do_more(word)]
    if found and not unknown:
        return found
    first_line = shebang(executable)
    if unknown[:1] == [command[0]] and first_line and find_python(first_line):
        return _python_of(split_strings([*first_line, executable, *command[1:]]))
    raise _NotSeen(
        f"it can't be seen what {quoted((unknown or command)[0])} executes; ask about the command that it comes to, as "
        f"in: {shlex.join(own_command())} status -- python agent.py start"
    )


def _may_do_more(word: str) -> bool:
    """Return whether a word before the interpreter is a command that may do more than execute what follows it."""
    is_launcher = basename(word) in _LAUNCHERS or find_python([word])
    return not is_launcher and shutil.which(word) is not None


def _python_of_uv(command: Sequence[str]) -> PythonCommand | None:
    """Return the interpreter of ``uv run agent.py`` and ``uv run -m agent``, which do not name it."""
    if basename(command[0]) != "uv":
        return None
    for position, word in enumerate(command):
        if (word in ("-m", "--module") or word.endswith(".py")) and _UV_SCRIPT not in beginning(word):
            program = [word if word.endswith(".py") else "-m", *command[position + 1 :]]
            return PythonCommand(list(command[:position]), "python", [], program)
    return None
