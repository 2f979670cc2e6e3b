"""Keep the records readable on the console of livekit-agents, which prints a record's data beside its text."""

from __future__ import annotations

import logging


class HideData(logging.Handler):
    """Prefix the names of a record's data with an underscore, if a handler of ``dev`` or ``console`` is installed.

    They skip fields whose names begin with an underscore, and print all others, up to 1.6 in a second column. This
    must be the first handler of detection's logger, and not a filter: with ``dev``, the process that prints is not the
    job's, and it calls only handlers.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        logger: logging.Logger | None = logging.getLogger(record.name)
        others: list[logging.Handler] = []
        while logger:
            others += [handler for handler in logger.handlers if handler is not self]
            logger = logger.parent if logger.propagate else None
        names = {type(part).__name__ for handler in others for part in (handler, handler.formatter)}
        if names & {"RichLoggingHandler", "ColoredFormatter"}:
            for name in {"deadlock", "wait", "release"} & vars(record).keys():
                vars(record)[f"_{name}"] = vars(record).pop(name)
        if not others and logging.lastResort and record.levelno >= logging.lastResort.level:
            logging.lastResort.handle(record)  # this handler keeps logging from doing so
        return True
