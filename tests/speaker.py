"""An audio output that plays for a number of seconds, and a sound for it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents.voice import io


async def sound() -> AsyncIterator[rtc.AudioFrame]:
    """Yield a frame of silence."""
    yield rtc.AudioFrame.create(16000, 1, 160)


class Speaker(io.AudioOutput):
    """Plays for so many seconds, or for ever."""

    def __init__(self, seconds: float | None) -> None:
        options: dict[str, Any] = {"label": "speaker", "sample_rate": 16000}
        if hasattr(io, "AudioOutputCapabilities"):
            options["capabilities"] = io.AudioOutputCapabilities(pause=False)
        known = inspect.signature(io.AudioOutput).parameters
        super().__init__(**{name: value for name, value in options.items() if name in known})
        self._seconds = seconds

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)

    def flush(self) -> None:
        super().flush()
        if self._seconds is not None:
            asyncio.get_running_loop().call_later(self._seconds, self._finished)

    def clear_buffer(self) -> None:
        """Nothing is played any more, and nothing is said of it."""

    def _finished(self) -> None:
        self.on_playback_finished(playback_position=self._seconds or 0.0, interrupted=False)
