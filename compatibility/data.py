"""Data: which releases, Pythons and releases of wrapt are played.

A new release of livekit-agents needs no entry here; what it has to be installed together with, if anything, is in
``onenter_deadlock_fix.environment.pins.py``. A new Python is one entry in ``PYTHONS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

# every release is played on the first of them, and the last affected one on each that it supports
PYTHONS = ("3.11", "3.9", "3.10", "3.12", "3.13")
# the newest release and the newest pre-release are played on these, too
NEWEST_PYTHONS = ("3.10", "3.13", "3.14")

OLDEST_WRAPT = "1.14.0"  # as pyproject.toml has it

# releases at which something changes, for better or worse; the newest that the index lists is added
BOUNDARIES = (
    *("1.2.0", "1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.18", "1.3.0rc1", "1.3.5"),
    *("1.3.6", "1.3.12", "1.4.0", "1.5.2", "1.5.3", "1.7.0", "1.7.1", "1.8.1", "1.8.2"),
)
LAST_AFFECTED, FIRST_FIXED = "1.3.5", "1.3.6"
PATTERN = "the_pattern"

# ("first", "below", "scenario", "reason"): where a release with the shim hangs and 1.3.6 does not, for a reason of
# the release's own
OWN_HANGS = (
    (
        *("1.2.0", "1.2.8", "two_tools_of_a_reply_await_agent_tasks"),
        "the reply is never done once its second tool has failed, and no agent is changed",
    ),
    *(
        ("1.2.0", below, f"a_reply_is_interrupted_in_the_{where}", "what schedules replies waits for one that is done")
        for below, where in (("1.2.6", "queue"), ("1.2.12", "delay_before_it"))
    ),
    (
        *("1.2.0", "1.2.3", "a_realtime_model_and_on_enter_awaits_the_agent_task_itself"),
        "an on_enter that awaits an AgentTask itself gets a RuntimeError",
    ),
    ("1.2.0", "1.2.2", "on_exit_of_the_agent_task_speaks", "an on_exit that raises keeps the session from closing"),
)

# scenario -> why it completes on some release although it is called a deadlock there
COMPLETES_ALL_THE_SAME = {
    "a_tool_closes_the_session": "from 1.4 on livekit-agents gives up a speech some seconds after its interruption",
}

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "compatibility" / "results.json"
PAGE = ROOT / "docs" / "compatibility.md"
UPSTREAM = ROOT / "tests" / "scenarios" / "upstream.json"


@dataclass(frozen=True)
class Row:
    """What the scenarios are played on."""

    release: str
    python: str = PYTHONS[0]
    wrapt: str = ""  # the newest
    extension: bool = True

    def __str__(self) -> str:
        python = f" on Python {self.python}" if self.python != PYTHONS[0] else ""
        wrapt = f" with wrapt {self.wrapt}" if self.wrapt else ""
        return f"{self.release}{python}{wrapt}{'' if self.extension else ' without the C extension of wrapt'}"


def boundaries(listed: Iterable[str]) -> list[Row]:
    """Return the boundary releases, the newest that is listed and the newest of its pre-releases."""
    return [Row(name) for name in sorted({*BOUNDARIES, *newest(listed)}, key=Version)]


def every(listed: Iterable[str]) -> list[Row]:
    """Return every release that is listed, and some of them on every Python and with other releases of wrapt."""
    listed = list(listed)
    return [
        *map(Row, listed),
        *(Row(LAST_AFFECTED, python) for python in PYTHONS[1:]),
        Row("1.2.0", "3.9"),
        *(Row(name, python) for name in newest(listed) for python in NEWEST_PYTHONS),
        Row(LAST_AFFECTED, extension=False),
        Row(LAST_AFFECTED, wrapt=OLDEST_WRAPT),
        Row(LAST_AFFECTED, wrapt=OLDEST_WRAPT, extension=False),
    ]


def newest(listed: Iterable[str]) -> list[str]:
    """Return the newest release, and a pre-release that is newer if there is one."""
    versions = sorted(map(Version, listed))
    release = max(version for version in versions if not version.is_prerelease)
    return [str(version) for version in dict.fromkeys((release, versions[-1]))]
