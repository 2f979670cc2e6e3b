"""The commands load .env.local, then .env, from the working directory; what is set already stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

Command = Callable[..., Any]


def state(command: Command, **env: str) -> Any:
    return json.loads(command("status", "--json", env=env).stdout)["state"]


def test_env_local_comes_before_env_and_the_environment_before_both(tmp_path: Path, command: Command) -> None:
    (tmp_path / ".env").write_text("ONENTER_DEADLOCK_FIX=off\n")
    assert state(command) == "off"
    (tmp_path / ".env.local").write_text("ONENTER_DEADLOCK_FIX=on\n")
    assert state(command) == "patched"
    assert state(command, ONENTER_DEADLOCK_FIX="off") == "off"


def test_unreadable_file_is_said_and_the_command_goes_on(tmp_path: Path, command: Command) -> None:
    (tmp_path / ".env").write_bytes(b"NAME=\xff\xfe\n")
    ended = command("path")
    assert ended.returncode == 0
    assert ended.stderr.startswith("onenter-deadlock-fix: .env was not loaded: ")
    assert ended.stderr.count("\n") == 1


def test_files_are_for_the_command_that_is_run_too(tmp_path: Path, command: Command) -> None:
    (tmp_path / ".env").write_text("GREETING='good morning'\n")
    assert command("run", "sh", "-c", 'echo "$GREETING"').stdout == "good morning\n"
