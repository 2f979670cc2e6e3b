"""Keep log records."""

from __future__ import annotations

import logging
from typing import Any, Callable

LOGGER = logging.getLogger("onenter_deadlock_fix")


class Recorder(logging.Handler):
    """Keeps what the package logs from a level on; ``on_record`` is called with each record."""

    def __init__(
        self, level: int = logging.WARNING, on_record: Callable[[logging.LogRecord], object] | None = None
    ) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []
        self._on_record = on_record

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if self._on_record:
            self._on_record(record)

    def stop(self) -> None:
        """Keep nothing any more, and let the package log where it does without a recorder."""
        LOGGER.removeHandler(self)
        LOGGER.propagate = True

    def messages(self) -> list[tuple[str, str]]:
        """Return the level and the message of each record."""
        return [(record.levelname, record.getMessage()) for record in self.records]


def record(level: int = logging.WARNING, on_record: Callable[[logging.LogRecord], object] | None = None) -> Recorder:
    """Have all that the package logs from a level on kept, and nothing of it printed."""
    recorder = Recorder(level, on_record)
    LOGGER.addHandler(recorder)
    LOGGER.setLevel(min(level, logging.WARNING))
    LOGGER.propagate = False
    return recorder


def recorder() -> Any:
    """Return the recorder that keeps what the package logs."""
    (found,) = (handler for handler in LOGGER.handlers if isinstance(handler, Recorder))
    return found
