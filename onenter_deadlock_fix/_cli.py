"""The command ``onenter-deadlock-fix``: status, verify, run, path."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__, status
from ._status import Status
from .detection.config import DETECT, DETECT_AFTER

PROGRAM = "onenter-deadlock-fix"
BOOTSTRAP = str(Path(__file__).with_name("bootstrap"))
EXIT_SAFE, EXIT_NOT_SAFE, EXIT_UNUSABLE = 0, 1, 2
# as shells have them
EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 126, 127, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` are those of the command line by default."""
    parsed = _parser().parse_args(arguments)
    _load_environment_files()
    try:
        code: int = parsed.handler(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        _complain(f"{error.name} is not installed in this environment, and {PROGRAM} needs it")
        return EXIT_UNUSABLE
    except OSError as error:  # nobody reads the output any more, or it can't be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        if isinstance(error, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        _complain(str(error))
        return EXIT_UNUSABLE
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
    command.add_argument("--detect", choices=("off", "report", "resolve"), help="what to do about hand-overs that hang")
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
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def _load_environment_files() -> None:
    try:
        from dotenv import load_dotenv
    except ModuleNotFoundError:
        _complain("python-dotenv is not installed, so .env.local and .env are not loaded")
        return
    for name in (".env.local", ".env"):
        try:
            load_dotenv(name)
        except (OSError, ValueError) as error:
            _complain(f"{name} was not loaded: {error}")


def _status(parsed: argparse.Namespace) -> int:
    from ._environment import versions, versions_in_words

    current, code = _settled_status()
    if parsed.json:
        told = {"state": current.state, "detection": current.detection}
        print(json.dumps({**told, **versions(current), "reason": current.reason}))
    else:
        print(f"{current.state}: {current.reason}; detection: {current.detection} ({versions_in_words(current)})")
    return code


def _verify(parsed: argparse.Namespace) -> int:
    current, code = _settled_status()
    if code == EXIT_UNUSABLE or current.state == "predates":
        _complain(f"verify cannot be run: {current.reason}")
        return EXIT_UNUSABLE
    from .verify.report import DETECTION, FIX, verify

    proof = DETECTION if parsed.resolve else FIX
    return verify(proof, current, patience=parsed.timeout, as_json=parsed.json)


def _settled_status() -> tuple[Status, int]:
    """Import livekit-agents and return the status this leads to, with the exit code that ``status`` has for it."""
    from ._environment import LibraryUnusable, load_library

    logging.getLogger(__package__).addHandler(logging.NullHandler())
    logging.getLogger(__package__).propagate = False  # what it logs is in the reason
    try:
        load_library()
    except LibraryUnusable as error:
        return Status("pending", None, str(error)), EXIT_UNUSABLE
    current = status()
    safe = current.state in ("patched", "fixed-upstream", "predates")
    if current.state == "off":
        from ._guard import examine

        safe = examine().state in ("fixed-upstream", "predates")
    return current, EXIT_SAFE if safe else EXIT_NOT_SAFE


def _path(_: argparse.Namespace) -> int:
    print(BOOTSTRAP)
    return 0


def _run(parsed: argparse.Namespace) -> int:
    command = parsed.command[1:] if parsed.command[0] == "--" else parsed.command
    if parsed.detect:
        os.environ[DETECT] = parsed.detect
    if parsed.detect_after:
        os.environ[DETECT_AFTER] = f"{parsed.detect_after:g}"
    others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry not in ("", BOOTSTRAP)]
    os.environ["PYTHONPATH"] = os.pathsep.join([BOOTSTRAP, *others])
    executable = command[0] if command else ""
    try:
        if not executable:
            raise FileNotFoundError
        if os.name == "nt":  # has no exec that whoever started us would wait for
            return subprocess.call([shutil.which(executable) or executable, *command[1:]])
        os.execvp(executable, command)
    except (FileNotFoundError, NotADirectoryError):
        _complain(f"{executable or repr('')}: command not found")
        return EXIT_NOT_FOUND
    except OSError as error:
        _complain(f"{executable} cannot be executed: {error.strerror}")
        return EXIT_NOT_EXECUTABLE


def _complain(message: str) -> None:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
