"""Read the stack of a suspended task: its coroutines and generators, outermost first, and where and why it waits.

Only built-in types are followed. The walk ends at a user-defined awaitable, because reading it may run user code.
"""

from __future__ import annotations

import asyncio
import gc
import linecache
import os
from operator import attrgetter
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from .livekit_internals import VOICE

Task = asyncio.Task[Any]

# The attributes for the frame and for the awaited object. By id, because even the hash of a class may be user-defined.
_KINDS = {
    id(CoroutineType): attrgetter("cr_frame", "cr_await"),
    id(GeneratorType): attrgetter("gi_frame", "gi_yieldfrom"),
    id(AsyncGeneratorType): attrgetter("ag_frame", "ag_await"),
}
# These wrap one of the types above, which only the garbage collector gives access to.
_WRAPPERS = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable")
_FOLLOWED = (*_WRAPPERS, "coroutine", "generator", "async_generator")
_AWAIT_OF_A_FUTURE = asyncio.futures._PyFuture.__await__.__code__  # type: ignore[attr-defined]
_TPFLAGS_HEAPTYPE = 1 << 9  # set on each class that a class statement has created
_flags_of = type.__dict__["__flags__"].__get__
name_of = type.__dict__["__name__"].__get__  # of a class, whose metaclass may be user-defined

_LIBRARY = ("livekit.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix._", "onenter_deadlock_fix.detection.")
_STDLIB = os.path.dirname(os.__file__) + os.sep
_INSTALLED = ("site-packages", "dist-packages")
# Functions that wait on behalf of their callers, as those of the standard library do. Records do not name them.
_NOT_NAMED = (
    *("livekit.agents.utils.", "opentelemetry.", "wrapt.", "onenter_deadlock_fix."),
    f"{VOICE}speech_handle.wait_if_not_interrupted",
)
_SLEEP, _WITH_TIMEOUT = "asyncio.tasks.sleep", ("asyncio.tasks._wait", "asyncio.tasks.wait_for")
TIMED = "it ends after a set time"
# Why a task waits -> the prefixes of the functions that it is suspended in. The first row that matches counts.
MODEL_REASONS = {
    "the realtime model has not answered": (f"{VOICE}agent_activity._realtime_",),
    "the speech-to-text has not finished": ("livekit.agents.stt.",),
    "the text-to-speech has not finished": ("livekit.agents.tts.", f"{VOICE}generation._audio_forwarding_task"),
    "the language model has not answered": (
        *("livekit.agents.llm.", f"{VOICE}agent_activity._next_segment", f"{VOICE}generation._"),
    ),
}
_REASONS = {
    **MODEL_REASONS,
    "the participant has not answered": ("livekit.api.sip_service.create_sip_participant",),
    "no participant has joined or published what it waits for": ("livekit.agents.utils.participant.wait_for_",),
}


class Suspended(NamedTuple):
    """A coroutine or generator that is suspended."""

    awaitable: Any
    frame: FrameType
    awaited: Any

    @property
    def function(self) -> str:
        """Return the module and the name of its function."""
        module = dict.get(self.frame.f_globals, "__name__")
        return f"{module if type(module) is str else ''}.{self.frame.f_code.co_name}"

    @property
    def variables(self) -> dict[str, Any]:
        """Return its variables; read only those of library functions."""
        return self.frame.f_locals

    @property
    def origin(self) -> str:
        """Return whose code it is: ``library``, ``installed`` (of another package), ``stdlib`` or ``user``."""
        file = self.frame.f_code.co_filename
        if self.function.startswith(_LIBRARY):
            return "library"
        if any(folder in file for folder in _INSTALLED):
            return "installed"
        return "stdlib" if file.startswith(_STDLIB) else "user"


def stack(task: Task) -> list[Suspended]:
    """Return what a task is suspended in, outermost first; [] if it is no task or can't be read."""
    frames: list[Suspended] = []
    try:
        awaitable: Any = asyncio.Task.get_coro(task)  # the task's class may be user-defined
    except Exception:  # it is not an asyncio task
        return frames
    while True:
        frame_and_awaited = _KINDS.get(id(type(awaitable)))
        if frame_and_awaited:
            frame, awaited = frame_and_awaited(awaitable)
            if frame is not None and frame.f_code is not _AWAIT_OF_A_FUTURE:
                frames.append(Suspended(awaitable, frame, awaited))
            awaitable = awaited
        elif is_builtin(awaitable, _WRAPPERS):
            referents = gc.get_referents(awaitable)
            awaitable = next((other for other in referents if is_builtin(other, _FOLLOWED)), None)
        else:
            return frames


def user_lines(frames: list[Suspended]) -> dict[str, str]:
    """Return the places of the user's own code, or of installed packages if there are none, each with its text."""
    lines: dict[str, dict[str, str]] = {"user": {}, "installed": {}}
    for frame in frames:
        if (of_origin := lines.get(frame.origin)) is not None:
            code, number = frame.frame.f_code, frame.frame.f_lineno
            # without module_globals, which may contain a user-defined loader
            text = linecache.getline(code.co_filename, number).strip()
            of_origin[f"{code.co_filename}:{number} in {code.co_name}"] = text
    return lines["user"] or lines["installed"]


def frame_to_report(frames: list[Suspended]) -> Suspended | None:
    """Return the innermost frame that a record may name."""
    outside = (frame for frame in reversed(frames) if frame.origin != "stdlib")
    return next((frame for frame in outside if not frame.function.startswith(_NOT_NAMED)), None)


def where_and_why(frames: list[Suspended]) -> tuple[str, str]:
    """Return in which module and function a task waits, unless it is user code, and why, as far as that is known."""
    place = frame_to_report(frames)
    where = ", ".join(place.function.rpartition(".")[::2]) if place and place.origin != "user" else ""
    why = ""
    for frame in reversed(frames):
        function, origin = frame.function, frame.origin
        if origin == "user":
            break
        if origin == "stdlib":
            if function == _SLEEP or (function in _WITH_TIMEOUT and frame.variables["timeout"] is not None):
                why = TIMED
            continue
        why = next((reason for reason, prefixes in _REASONS.items() if function.startswith(prefixes)), why)
        if not why and function.endswith(".aclose") and not function.startswith(VOICE):
            why = "its aclose() has not finished"
        if why:
            return where, why
    return where, ""


def is_builtin(thing: Any, names: tuple[str, ...]) -> bool:
    """Return whether an object's type is a built-in type with one of these names."""
    kind = type(thing)  # a user-defined type could run code when its name is read
    return not _flags_of(kind) & _TPFLAGS_HEAPTYPE and kind.__name__ in names
