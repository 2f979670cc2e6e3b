"""Say where a task is suspended, and why, as far as its frames show it."""

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
# By the beginning of the function that a task is suspended in: why it waits, and may go on, or does not.
_MODELS = {
    "livekit.agents.llm.": "the language model has not answered",
    "livekit.agents.stt.": "the speech-to-text has not finished",
    "livekit.agents.tts.": "the text-to-speech has not finished",
    f"{VOICE}agent_activity._next_segment": "the language model has not answered",
    f"{VOICE}agent_activity._realtime_": "the realtime model has not answered",
    f"{VOICE}generation._audio_forwarding_task": "the text-to-speech has not finished",
    f"{VOICE}generation._": "the language model has not answered",
}
_REASONS = {
    **_MODELS,
    "livekit.api.sip_service.create_sip_participant": "the participant has not answered",
    "livekit.agents.utils.participant.wait_for_": "no participant has joined or published what it waits for",
}
GOES_ON = frozenset({PLAYED, GIVEN_UP, TIMED, *_MODELS.values()})
TEMPORARY = frozenset({GIVEN_UP, TIMED})

_LIBRARY = ("livekit.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix._", "onenter_deadlock_fix.detection.")
# Functions that wait on behalf of their callers, as those of the standard library do.
_PLUMBING = (
    *("livekit.agents.utils.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix."),
    f"{VOICE}speech_handle.wait_if_not_interrupted",
)
_SLEEP, _TIMED = "asyncio.tasks.sleep", ("asyncio.tasks._wait", "asyncio.tasks.wait_for")
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = ("site-packages", "dist-packages")


class Line(NamedTuple):
    """A line of the user's code: where it is, and what it says, where that is known."""

    place: str
    code: str


def user_lines(frames: list[Suspended]) -> list[Line]:
    """Return the lines of the user's own code; those of installed packages where there are no others."""
    lines: dict[bool, list[Line]] = {True: [], False: []}  # by whether it is an installed package's
    for frame in frames:
        code, number = frame.frame.f_code, frame.frame.f_lineno
        if not frame.function.startswith(_LIBRARY) and not _is_stdlib(frame):
            # without the module's globals, in which a loader of the user's may be
            text = linecache.getline(code.co_filename, number).strip()
            lines[_is_installed(frame)].append(Line(f"{code.co_filename}:{number} in {code.co_name}", text))
    return lines[False] or lines[True]


def place_of(frames: list[Suspended]) -> str:
    """Return module and function where a task is suspended, or nothing where that is in the user's own code."""
    frame = innermost(frames)
    is_known = frame is not None and (frame.function.startswith(_LIBRARY) or _is_installed(frame))
    return ", ".join(frame.function.rpartition(".")[::2]) if frame and is_known else ""


def innermost(frames: list[Suspended]) -> Suspended | None:
    """Return the innermost frame that waits for itself, and not on behalf of its caller, as those of asyncio do."""
    outside = (frame for frame in reversed(frames) if not _is_stdlib(frame))
    return next((frame for frame in outside if not frame.function.startswith(_PLUMBING)), None)


def reason_of(frames: list[Suspended]) -> str:
    """Return why a task waits in livekit-agents or a plugin, as far as that is known."""
    is_timed = False
    for frame in reversed(frames):
        function = frame.function
        if _is_stdlib(frame):
            is_timed |= function == _SLEEP or (function in _TIMED and frame.variables["timeout"] is not None)
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
