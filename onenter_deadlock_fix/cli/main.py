"""Run the commands, and map errors to exit codes."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from . import EXIT_UNKNOWN, PROGRAM, print_error
from .arguments import parse

EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 130, 141  # as in shells


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` are those of the command line by default."""
    try:
        code = _run_action(sys.argv[1:] if arguments is None else arguments)
        if sys.stdout:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        print_error(f"{error.name} is not installed in this environment, and {PROGRAM} needs it")
        return EXIT_UNKNOWN
    except (OSError, UnicodeEncodeError) as error:  # nobody reads the output any more, or it can't be written
        if sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        if isinstance(error, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        print_error(str(error))
        return EXIT_UNKNOWN
    return code


def _run_action(arguments: Sequence[str]) -> int:
    try:
        parsed = parse(arguments)
    except SystemExit as end:  # after help, or if the arguments are wrong
        return end.code if isinstance(end.code, int) else 0
    actions = {"status": _status, "verify": _verify, "run": _run, "path": _path}
    return actions[parsed.action](parsed)


def _status(parsed: argparse.Namespace) -> int:
    from .command_status import report_on_command
    from .status import report_on_environment

    _show_any_text()
    report = report_on_command(parsed.command) if parsed.command else report_on_environment()
    print(report.as_json() if parsed.json else report.in_words())
    return report.exit_code


def _verify(parsed: argparse.Namespace) -> int:
    from ..verify.report import DETECTION, FIX, NotPlayed, verify

    _show_any_text()
    try:
        return verify(DETECTION if parsed.resolve else FIX, patience=parsed.timeout, as_json=parsed.json)
    except NotPlayed as error:
        print_error(f"verify cannot be run: {error}")
        return EXIT_UNKNOWN


def _run(parsed: argparse.Namespace) -> int:
    from .environment_files import load_environment_files
    from .launch import launch

    load_environment_files()
    if parsed.detect:
        os.environ["ONENTER_DEADLOCK_FIX_DETECT"] = parsed.detect
    if parsed.detect_after:
        os.environ["ONENTER_DEADLOCK_FIX_DETECT_AFTER"] = f"{parsed.detect_after:g}"
    return launch(parsed.command, parsed.options)


def _path(_: argparse.Namespace) -> int:
    from .launch import BOOTSTRAP

    print(BOOTSTRAP)
    return 0


def _show_any_text() -> None:
    """Write characters that the encoding of standard output lacks as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
