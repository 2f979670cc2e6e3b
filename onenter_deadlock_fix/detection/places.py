"""Describe where a task is suspended, and why, from its frames."""

from __future__ import annotations

import linecache
import os
import sysconfig
from typing import NamedTuple

from .livekit_edges import GIVEN_UP, PLAYED
from .livekit_internals import VOICE
from .stack import Suspended

TIMED = "it ends with a time-out"
CLOSES = "its aclose() has not finished"
# By a prefix of the function that a task is suspended in: why it waits. Waits for a model may complete by themselves.
_MODEL_REASONS = {
    "livekit.agents.llm.": "the language model has not answered",
    "livekit.agents.stt.": "the speech-to-text has not finished",
    "livekit.agents.tts.": "the text-to-speech has not finished",
    f"{VOICE}agent_activity._next_segment": "the language model has not answered",
    f"{VOICE}agent_activity._realtime_": "the realtime model has not answered",
    f"{VOICE}generation._audio_forwarding_task": "the text-to-speech has not finished",
    f"{VOICE}generation._": "the language model has not answered",
}
_REASONS = {
    **_MODEL_REASONS,
    "livekit.api.sip_service.create_sip_participant": "the participant has not answered",
    "livekit.agents.utils.participant.wait_for_": "no participant has joined or published what it waits for",
}
MAY_COMPLETE = frozenset({PLAYED, GIVEN_UP, TIMED, *_MODEL_REASONS.values()})
TEMPORARY = frozenset({GIVEN_UP, TIMED})

_LIBRARY = ("livekit.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix._", "onenter_deadlock_fix.detection.")
# Functions that wait on behalf of their callers, as those of the standard library do.
_WAIT_HELPERS = (
    *("livekit.agents.utils.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix."),
    f"{VOICE}speech_handle.wait_if_not_interrupted",
)
_SLEEP, _WITH_TIMEOUT = "asyncio.tasks.sleep", ("asyncio.tasks._wait", "asyncio.tasks.wait_for")
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = ("site-packages", "dist-packages")


class Line(NamedTuple):
    """A line of the user's code: its place, and its text if that is known."""

    place: str
    code: str


def user_lines(frames: list[Suspended]) -> list[Line]:
    """Return the lines of the user's own code, or of installed packages if there are none."""
    lines: dict[bool, list[Line]] = {True: [], False: []}  # whether it belongs to an installed package -> lines
    for frame in frames:
        code, number = frame.frame.f_code, frame.frame.f_lineno
        if not frame.function.startswith(_LIBRARY) and not _is_stdlib(frame):
            # without module_globals, which may contain a user-defined loader
            text = linecache.getline(code.co_filename, number).strip()
            lines[_is_installed(frame)].append(Line(f"{code.co_filename}:{number} in {code.co_name}", text))
    return lines[False] or lines[True]


def place_of(frames: list[Suspended]) -> str:
    """Return the module and function where a task is suspended, or an empty string for the user's own code."""
    frame = innermost(frames)
    is_known = frame is not None and (frame.function.startswith(_LIBRARY) or _is_installed(frame))
    return ", ".join(frame.function.rpartition(".")[::2]) if frame and is_known else ""


def innermost(frames: list[Suspended]) -> Suspended | None:
    """Return the innermost frame that is not of the standard library and no wait helper."""
    outside = (frame for frame in reversed(frames) if not _is_stdlib(frame))
    return next((frame for frame in outside if not frame.function.startswith(_WAIT_HELPERS)), None)


def reason_of(frames: list[Suspended]) -> str:
    """Return why a task waits in livekit-agents or a plugin, or an empty string if that is not known."""
    is_timed = False
    for frame in reversed(frames):
        function = frame.function
        if _is_stdlib(frame):
            is_timed |= function == _SLEEP or (function in _WITH_TIMEOUT and frame.variables["timeout"] is not None)
            continue
        if not function.startswith(_LIBRARY) and not _is_installed(frame):
            break  # the user's own code
        reason = next((reason for name, reason in _REASONS.items() if function.startswith(name)), "")
        if reason or is_timed:
            return reason or TIMED
        if function.endswith(".aclose") and not function.startswith(VOICE):
            return CLOSES
    return ""


def _is_stdlib(frame: Suspended) -> bool:
    return frame.frame.f_code.co_filename.startswith(_STDLIB) and not _is_installed(frame)


def _is_installed(frame: Suspended) -> bool:
    return any(folder in frame.frame.f_code.co_filename for folder in _INSTALLED)
