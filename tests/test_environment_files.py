"""``run`` loads .env.local, then .env, from the working directory; what is set already stays. No other command does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

Command = Callable[..., Any]

GREET = ("run", "sh", "-c", 'echo "$GREETING"')


def test_env_local_comes_before_env_and_the_environment_before_both(tmp_path: Path, command: Command) -> None:
    (tmp_path / ".env").write_text("GREETING='good morning'\n")
    assert command(*GREET).stdout == "good morning\n"
    (tmp_path / ".env.local").write_text("GREETING=hello\n")
    assert command(*GREET).stdout == "hello\n"
    assert command(*GREET, env={"GREETING": "hi"}).stdout == "hi\n"


def test_unreadable_file_is_reported_and_the_command_is_executed(tmp_path: Path, command: Command) -> None:
    (tmp_path / ".env").write_bytes(b"NAME=\xff\xfe\n")
    ended = command(*GREET)
    assert (ended.returncode, ended.stdout) == (0, "\n")
    assert ended.stderr.startswith("onenter-deadlock-fix: .env was not loaded: ")
    assert ended.stderr.count("\n") == 1
    assert command("path").stderr == ""
