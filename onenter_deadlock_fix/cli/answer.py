"""``status``: whether this environment is safe from the deadlock, and why, and which environment that is."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass

from .. import status
from .._status import Status
from . import EXIT_UNKNOWN
from .environment import LibraryUnusable, load_library, other_environments, versions

EXIT_SAFE, EXIT_NOT_SAFE = 0, 1


@dataclass(frozen=True)
class Answer:
    """The shim's status once livekit-agents is imported, and the exit code that it leads to."""

    status: Status
    exit_code: int

    def in_words(self) -> str:
        """Return a line that says whether this environment is safe, and one for each other environment to warn of."""
        current, installed = self.status, versions(self.status)
        line = (
            f"{self._verdict()} ({current.state}), in {installed['environment']}: {current.reason}; "
            f"detection: {current.detection} (Python {installed['python']}, wrapt {installed['wrapt']})"
        )
        return "\n".join([line, *(f"warning: {warning}" for warning in other_environments())])

    def as_json(self) -> str:
        """Return the same as an object: all of ``Status``, the seconds of detection, and what is installed where."""
        from ..detection import config

        return json.dumps(
            {
                **asdict(self.status),
                "detect_after": config.load_settings(None).after,
                **versions(self.status),
                "warnings": other_environments(),
            }
        )

    def _verdict(self) -> str:
        if self.exit_code == EXIT_SAFE:
            return "safe with the shim" if self.status.state == "patched" else "safe without the shim"
        return "NOT SAFE" if self.exit_code == EXIT_NOT_SAFE else "can't say"


def answer() -> Answer:
    """Import livekit-agents and return what that leads to."""
    logging.getLogger("onenter_deadlock_fix").addHandler(logging.NullHandler())
    logging.getLogger("onenter_deadlock_fix").propagate = False  # what it logs is in the reason
    try:
        load_library()
    except LibraryUnusable as error:
        return Answer(Status("pending", None, str(error)), EXIT_UNKNOWN)
    current = status()
    safe = current.state in ("patched", "fixed-upstream", "predates")
    if current.state == "off":
        from .._guard import examine

        safe = examine().state in ("fixed-upstream", "predates")
    return Answer(current, EXIT_SAFE if safe else EXIT_NOT_SAFE)
