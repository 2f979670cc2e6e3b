"""The arguments of the commands, and their help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from . import PROGRAM, write_error

_VARIABLES = """
environment variables, for every program that has the shim:
  ONENTER_DEADLOCK_FIX=off               switch the fix off; detection has its own variable
  ONENTER_DEADLOCK_FIX_DETECT=MODE       what to do about handoffs that hang: off (the default), report, resolve
  ONENTER_DEADLOCK_FIX_DETECT_AFTER=5    seconds that a handoff may take before it is examined"""

_HELP = f"""exit codes:
  status, verify  0 it works or is not needed, 1 it does not work, 3 can't say
  run             those of what it executes, 126 can't be executed, 127 not found
  all             2 wrong arguments, or refused

files: run loads .env.local and .env of the working directory; no other command reads anything there.
{_VARIABLES}

examples:
  {PROGRAM} status
  {PROGRAM} status -- python agent.py start
  {PROGRAM} run python agent.py start

"{PROGRAM} COMMAND --help" has more about a command."""

_STATUS = f"""Without COMMAND: whether this environment is ready, and whether its Python gets the shim by itself.
With COMMAND: whether the shim is active in it. Its interpreter is started; its program is read, and not executed.

exit codes:
  0  ready, or not needed; with COMMAND: active, or not needed
  1  not ready; with COMMAND: not active
  3  can't say
{_VARIABLES}

example:
  {PROGRAM} status -- python agent.py start"""

_VERIFY = f"""The agent runs on the livekit-agents that a program here imports, without keys. Nothing in the working
directory is read.

exit codes:
  0  the last run completes
  1  it does not
  3  it could not be run, or there is another environment that programs here may use

example:
  {PROGRAM} verify --timeout 30"""

_RUN = f"""COMMAND is executed in the place of this process, with the folder that "{PROGRAM} path" prints on PYTHONPATH.
Before, .env.local and then .env of the working directory are loaded; what is set in the environment already stays.

exit codes: those of COMMAND, and
  2    refused, since the shim would not be active; the message has the command that works
  126  COMMAND can't be executed
  127  COMMAND is not found
{_VARIABLES}

example:
  {PROGRAM} run --detect report python agent.py start"""


_PATH = f"""example:
  PYTHONPATH="$({PROGRAM} path)" python agent.py start"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments. Exit with 2 if they are wrong, and with 0 after help."""
    words, command = list(arguments), []
    if words[:1] == ["status"] and "--" in words:
        position = words.index("--")
        words, command = words[:position], words[position + 1 :]
    parsed = _parser().parse_args(words)
    if parsed.action == "status":
        parsed.command += command
    if parsed.action == "run":
        parsed.options = words[: len(words) - len(parsed.command)]
        if parsed.command[0] == "--":
            del parsed.command[0]
    return parsed


class _Parser(argparse.ArgumentParser):
    """A parser without abbreviations that prints help unformatted, and works without stderr."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        write_error(f"{self.format_usage()}{self.prog}: error: {message}\n")
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM, description="Fixes the on_enter deadlock of livekit-agents 1.2.0 to 1.3.5.", epilog=_HELP
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", dest="action", metavar="COMMAND", required=True)

    summary = "report whether this environment is ready, or whether the shim is active in a command, and why"
    status = commands.add_parser("status", help=summary, description=summary, epilog=_STATUS)
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.add_argument(
        "command", metavar="COMMAND", nargs="*", help='its words; behind "--" if there are options among them'
    )

    summary = "run an agent that deadlocks, without the shim and with it"
    verify = commands.add_parser("verify", help=summary, description=summary, epilog=_VERIFY)
    verify.add_argument(
        "--resolve",
        action="store_true",
        help="run an agent that deadlocks on every release: without detection, reported, and resolved",
    )
    verify.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="a run without a step for so long counts as hung, also where no deadlock is found (default: %(default)g)",
    )
    verify.add_argument("--json", action="store_true", help="print one JSON object, at the end")

    summary = "execute a command with the shim active in every Python process that it starts"
    run = commands.add_parser("run", help=summary, description=summary, epilog=_RUN)
    run.add_argument(
        "--detect", type=_mode, metavar="MODE", help="set ONENTER_DEADLOCK_FIX_DETECT: off, report or resolve"
    )
    run.add_argument("--detect-after", type=_seconds, metavar="SECONDS", help="set ONENTER_DEADLOCK_FIX_DETECT_AFTER")
    # PARSER keeps all that follows unchanged; REMAINDER would remove the command's own "--"
    run.add_argument("command", metavar="COMMAND", nargs=argparse.PARSER, help="looked for on PATH, and its arguments")

    summary = "print the folder that activates the shim when it is on PYTHONPATH"
    commands.add_parser("path", help=summary, description=summary, epilog=_PATH)
    return parser


# Import detection only if it is needed: it doubles the start-up time of "run".
def _mode(text: str) -> str:
    from ..detection.config import mode_of

    if mode_of(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a mode (off, report, resolve)")
    return text


def _seconds(text: str) -> float:
    from ..detection.config import MIN_AFTER, seconds_of

    seconds = seconds_of(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds of {MIN_AFTER:g} or more")
    return seconds
