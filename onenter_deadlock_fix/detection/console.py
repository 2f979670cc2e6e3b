"""Keep the records readable on the console of livekit-agents, which prints a record's data beside its text."""

from __future__ import annotations

import logging

_FIELDS = ("deadlock", "wait", "release")
_FOR_PEOPLE = ("RichLoggingHandler", "ColoredFormatter")


class HideData(logging.Handler):
    """Rename the data of a record with a leading underscore, where a handler is that of ``dev`` or ``console``.

    They print no field whose name begins with an underscore, and up to 1.6 all others in a second column. This has to
    be the first handler of detection's logger: ``dev`` prints in another process than the job's, where only handlers
    are called.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def handle(self, record: logging.LogRecord) -> bool:
        logger: logging.Logger | None = self._logger
        others: list[logging.Handler] = []
        while logger:
            others += [handler for handler in logger.handlers if handler is not self]
            logger = logger.parent if logger.propagate else None
        names = {type(part).__name__ for handler in others for part in (handler, handler.formatter)}
        if not names.isdisjoint(_FOR_PEOPLE):
            for name in _FIELDS:
                if name in vars(record):
                    vars(record)[f"_{name}"] = vars(record).pop(name)
        if not others and logging.lastResort and record.levelno >= logging.lastResort.level:
            logging.lastResort.handle(record)  # logging does so only where there is no handler at all
        return True
