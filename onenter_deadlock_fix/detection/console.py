"""Keep the records readable on the console of livekit-agents, which prints a record's extra fields beside its text."""

from __future__ import annotations

import logging


class HideExtraFields(logging.Handler):
    """Prefix a record's extra fields with an underscore, if a console handler of livekit-agents is there.

    With ``dev`` and ``console``, it prints all other extra fields, up to 1.6 in a second column. This must be a
    handler, the first of detection: with ``dev``, the parent process prints the job's records, and calls no filters.
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
