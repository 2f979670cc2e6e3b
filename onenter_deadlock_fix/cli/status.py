"""``status``: whether this environment is ready for the shim, or the shim active in a command, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..environment.examination import Environment, NotExamined, examine, unaffected
from ..environment.others import other_environments
from ..environment.text import json_text
from . import EXIT_UNKNOWN

Verdict = Literal["ready", "active", "not needed", "not ready", "not active", "can't say"]

_EXIT_CODES: dict[Verdict, int] = {
    "ready": 0,
    "active": 0,
    "not needed": 0,
    "not ready": 1,
    "not active": 1,
    "can't say": EXIT_UNKNOWN,
}
# the state of the shim in a program -> the verdict on the environment; for any other state, "can't say"
_VERDICTS: dict[str | None, Verdict] = {
    "patched": "ready",
    "fixed-upstream": "not needed",
    "predates": "not needed",
    "off": "not ready",
    "unrecognised": "not ready",
    "failed": "not ready",
}
_IN_CAPITALS = ("not ready", "not active")
_BY_ITSELF = {
    True: "active by itself: a Python that is started with these environment variables activates the shim when it "
    "imports livekit.agents",
    False: "NOT ACTIVE BY ITSELF: a program here has the deadlock unless it imports onenter_deadlock_fix or is started "
    "by onenter-deadlock-fix run (to check one: onenter-deadlock-fix status -- COMMAND)",
}


@dataclass(frozen=True)
class StatusReport:
    """The status of an environment, or of a command in it, and the exit code."""

    environment: Environment
    verdict: Verdict
    reason: str
    warnings: Sequence[str] = ()
    command: Sequence[str] | None = None

    @property
    def exit_code(self) -> int:
        """Return 0 for ready, active or not needed, 1 for not ready and not active, 3 if that is unknown."""
        return EXIT_UNKNOWN if self.warnings else _EXIT_CODES[self.verdict]

    def in_words(self) -> str:
        """Return the report as text for people: the verdict, lines about the environment, and the warnings."""
        environment = self.environment
        verdict = self.verdict.upper() if self.verdict in _IN_CAPITALS else self.verdict
        lines = [f"{verdict}{self._state()}: {self.reason}"]
        if self.warnings:
            lines[0] = f"can't say which environment your programs use (see the warning); for this one: {lines[0]}"
        if self.verdict == "ready":
            lines.append(_BY_ITSELF[bool(environment.active_by_itself)])
        elif environment.state and self.reason != environment.reason:
            lines.append(f"with the shim: {environment.state}: {environment.reason}")
        if environment.folder:
            lines.append(f"environment: {environment.in_words()}; detection: {environment.detection}")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def as_json(self) -> str:
        """Return the report as a JSON object."""
        environment = self.environment
        ready = {"ready": True, "not needed": True, "not ready": False}.get(verdict_on(environment))
        return json_text(
            {
                "verdict": "can't say" if self.warnings else self.verdict,
                "reason": self.reason,
                "command": self.command,
                "ready": ready,
                "active_by_itself": environment.active_by_itself,
                "state_with_shim": environment.state,
                "state_reason": environment.reason,
                "detection": environment.detection,
                "detect_after": environment.detect_after,
                **environment.as_object(),
                "warnings": self.warnings,
            }
        )

    def _state(self) -> str:
        state = self.environment.state
        if self.command is not None or state is None:
            return ""
        return " (patched where onenter_deadlock_fix is imported)" if state == "patched" else f" ({state})"


def report_on_environment() -> StatusReport:
    """Start a Python as a program here is started, and return the status."""
    try:
        environment = examine()
    except NotExamined as error:
        environment = Environment(folder=sys.prefix, reason=str(error))
    warnings = other_environments(environment)
    return StatusReport(environment, verdict_on(environment), environment.reason, warnings)


def verdict_on(environment: Environment) -> Verdict:
    """Return whether an environment is ready: whether a program in it is safe once it has the shim."""
    if environment.library_folder and environment.shim is None and environment.state is None:
        return "not ready"
    if environment.state == "off" and unaffected(environment.livekit_agents):
        return "not needed"
    return _VERDICTS.get(environment.state, "can't say")
