"""The arguments, what is done for each command, and how it ends where that fails."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..detection.config import DETECT, DETECT_AFTER, SHORTEST, seconds_of
from . import EXIT_UNKNOWN, PROGRAM, complain

EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 130, 141  # as shells have them


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` are those of the command line by default."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = _parser().parse_args(arguments)
    if "command" in parsed:
        parsed.launcher = [PROGRAM, *arguments[: len(arguments) - len(parsed.command)]]
    _load_environment_files()
    try:
        code: int = parsed.handler(parsed)
        if sys.stdout:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        complain(f"{error.name} is not installed in this environment, and {PROGRAM} needs it")
        return EXIT_UNKNOWN
    except (OSError, UnicodeEncodeError) as error:  # nobody reads the output any more, or it can't be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        if isinstance(error, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        complain(str(error))
        return EXIT_UNKNOWN
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Takes the on_enter deadlock out of livekit-agents 1.2.0 to 1.3.5."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("status", help="say whether this environment is safe from the deadlock, and why")
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.set_defaults(handler=_status)

    command = commands.add_parser("verify", help="play the pattern that deadlocks, without the shim and with it")
    command.add_argument(
        "--resolve",
        action="store_true",
        help="play a deadlock that every release has, without detection, with its report, and resolved",
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long a run may go without a step where no deadlock is seen (default: %(default)g)",
    )
    command.add_argument("--json", action="store_true", help="one JSON object, at the end")
    command.set_defaults(handler=_verify)

    command = commands.add_parser(
        "run", help="execute a command with the shim active in every Python process that it starts"
    )
    command.add_argument("--detect", choices=("off", "report", "resolve"), help="what to do about handoffs that hang")
    command.add_argument("--detect-after", type=_seconds, metavar="SECONDS", help="when to look at one (default: 5)")
    # PARSER takes all that follows as it is; REMAINDER would take out a "--" of the command's own
    command.add_argument(
        "command", metavar="COMMAND", nargs=argparse.PARSER, help="looked for on PATH, and its arguments"
    )
    command.set_defaults(handler=_run)

    command = commands.add_parser("path", help="print the folder that activates the shim when it is on PYTHONPATH")
    command.set_defaults(handler=_path)
    return parser


def _seconds(text: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from {SHORTEST:g} on")
    return seconds


def _load_environment_files() -> None:
    try:
        from dotenv import load_dotenv
    except ModuleNotFoundError:
        complain("python-dotenv is not installed, so .env.local and .env are not loaded")
        return
    for name in (".env.local", ".env"):
        try:
            load_dotenv(name)
        except (OSError, ValueError) as error:
            complain(f"{name} was not loaded: {error}")


def _status(parsed: argparse.Namespace) -> int:
    from .answer import answer

    told = answer()
    print(told.as_json() if parsed.json else told.in_words())
    return told.exit_code


def _verify(parsed: argparse.Namespace) -> int:
    from ..verify.report import DETECTION, FIX, verify
    from .answer import answer

    told = answer()
    if told.exit_code == EXIT_UNKNOWN or told.status.state == "predates":
        complain(f"verify cannot be run: {told.status.reason}")
        return EXIT_UNKNOWN
    proof = DETECTION if parsed.resolve else FIX
    return verify(proof, told.status, patience=parsed.timeout, as_json=parsed.json)


def _run(parsed: argparse.Namespace) -> int:
    from .launch import launch

    command = parsed.command[1:] if parsed.command[0] == "--" else parsed.command
    if parsed.detect:
        os.environ[DETECT] = parsed.detect
    if parsed.detect_after:
        os.environ[DETECT_AFTER] = f"{parsed.detect_after:g}"
    return launch(command, parsed.launcher)


def _path(_: argparse.Namespace) -> int:
    from .launch import BOOTSTRAP

    print(BOOTSTRAP)
    return 0
