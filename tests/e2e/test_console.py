"""In console mode the conversation completes with the shim. Without it, the console shows what the README has."""

from __future__ import annotations

import contextlib
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


class Console:
    """The agent program in console mode, on a pseudo-terminal, and the person in front of that."""

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self._start = start
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))  # wide enough not to wrap
        self._seen = b""

    def open(self, activation: str) -> None:
        how = ACTIVATIONS[activation]
        if ctypes.util.find_library("portaudio") is None:
            how = dataclasses.replace(how, environment={"PYTHONPATH": str(HERE / "no_portaudio")})
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), self._slave)
        self._process = self._start(how, "llm", str(HERE / f"{how.program}.py"), "console", "--text", **streams)

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)

    @property
    def screen(self) -> str:
        """All that was written, without colours and other escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._seen.decode(errors="replace"))

    def is_read(self) -> bool:
        """Return whether the console reads a key: line editing is off then. It drops keys typed before that."""
        return not termios.tcgetattr(self._master)[3] & termios.ICANON

    def type_line(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())

    def wait_for(self, condition: Callable[[], object]) -> None:
        wait_until(condition, self._process, lambda: self.screen, self._read)

    def _read(self) -> None:
        """Read what was written since, or wait a moment for it."""
        if select.select([self._master], [], [], 0.05)[0]:
            self._seen += os.read(self._master, 65536)


@pytest.fixture
def console(start: Callable[..., subprocess.Popen[bytes]]) -> Iterator[Console]:
    with contextlib.closing(Console(start)) as console:
        yield console


def test_the_conversation_completes_in_console_mode(console: Console, endpoint: Endpoint) -> None:
    console.open("run")
    # in text mode 1.3.5 shows only answers to what was typed, so the first question is not on the screen
    console.wait_for(lambda: QUESTION in endpoint.said and console.is_read())
    console.type_line(USER_ANSWERS[QUESTION])
    console.wait_for(lambda: CONFIRMATION in console.screen and console.is_read())
    console.type_line(USER_ANSWERS[CONFIRMATION])
    console.wait_for(lambda: GOODBYE in console.screen)
    screen = " ".join(console.screen.split())
    assert "onenter-deadlock-fix is active on livekit-agents 1.3.5" in screen
    assert "the handoff to EmailTask by the tool collect_email does not wait" in screen


def test_the_console_shows_the_symptoms_of_the_readme(
    console: Console, endpoint: Endpoint, environment: dict[str, str]
) -> None:
    environment["COLUMNS"] = "200"  # so that no message is wrapped
    (symptoms,) = re.findall(r"(?s)```text\nWARNING livekit[^\n]*\n(.*?)```", README.read_text(encoding="utf-8"))
    console.open("nothing")
    console.wait_for(lambda: endpoint.called and console.is_read())
    console.type_line(USER_ANSWERS[QUESTION])
    for line in symptoms.splitlines():
        message = line.rpartition(" - ")[2]
        console.wait_for(lambda message=message: message in console.screen)
