"""In console mode the conversation completes with the shim. Without it, the console shows what the README has."""

from __future__ import annotations

import ctypes.util
import dataclasses
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator

import pytest
from openai_endpoint import CONFIRMATION, GOODBYE, QUESTION, USER_ANSWERS, Endpoint
from processes import ACTIVATIONS, HERE
from programs import wait_until

README = HERE.parents[1] / "README.md"


class Terminal:
    """A pseudo-terminal and the person in front of it."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))  # wide enough not to wrap
        self._seen = b""

    def close(self) -> None:
        os.close(self._master)
        os.close(self.slave)

    @property
    def screen(self) -> str:
        """All that was written, without colours and other escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._seen.decode(errors="replace"))

    def is_read(self) -> bool:
        """Return whether the console reads a key: line editing is off then. It drops keys typed before that."""
        return not termios.tcgetattr(self._master)[3] & termios.ICANON

    def type_line(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())

    def read(self) -> None:
        """Read what was written since, or wait a moment for it."""
        if select.select([self._master], [], [], 0.05)[0]:
            self._seen += os.read(self._master, 65536)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


Wait = Callable[[Callable[[], object]], None]


@pytest.fixture
def open_console(start: Callable[..., subprocess.Popen[bytes]], terminal: Terminal) -> Callable[[str], Wait]:
    """Start the agent program in console mode, and return how to wait for what it shows."""

    def open_console(activation: str) -> Wait:
        how = ACTIVATIONS[activation]
        if ctypes.util.find_library("portaudio") is None:
            how = dataclasses.replace(how, environment={"PYTHONPATH": str(HERE / "no_portaudio")})
        program = str(HERE / f"{how.program}.py")
        streams = {"stdin": terminal.slave, "stdout": terminal.slave, "stderr": terminal.slave}
        console = start(how, "llm", program, "console", "--text", **streams)
        return lambda condition: wait_until(condition, console, lambda: terminal.screen, terminal.read)

    return open_console


def test_the_conversation_completes_in_console_mode(
    open_console: Callable[[str], Wait], terminal: Terminal, endpoint: Endpoint
) -> None:
    wait_for = open_console("run")
    # in text mode 1.3.5 shows only answers to what was typed, so the first question is not on the screen
    wait_for(lambda: QUESTION in endpoint.said and terminal.is_read())
    terminal.type_line(USER_ANSWERS[QUESTION])
    wait_for(lambda: CONFIRMATION in terminal.screen and terminal.is_read())
    terminal.type_line(USER_ANSWERS[CONFIRMATION])
    wait_for(lambda: GOODBYE in terminal.screen)
    screen = " ".join(terminal.screen.split())
    assert "onenter-deadlock-fix is active on livekit-agents 1.3.5" in screen
    assert "the handoff to EmailTask by the tool collect_email does not wait" in screen


def test_the_console_shows_the_symptoms_of_the_readme(
    open_console: Callable[[str], Wait], terminal: Terminal, endpoint: Endpoint, environment: dict[str, str]
) -> None:
    environment["COLUMNS"] = "200"  # so that no message is wrapped
    (symptoms,) = re.findall(r"(?s)```text\nWARNING livekit[^\n]*\n(.*?)```", README.read_text(encoding="utf-8"))
    wait_for = open_console("nothing")
    wait_for(lambda: endpoint.called and terminal.is_read())
    terminal.type_line(USER_ANSWERS[QUESTION])
    for line in symptoms.splitlines():
        message = line.rpartition(" - ")[2]
        wait_for(lambda message=message: message in terminal.screen)
