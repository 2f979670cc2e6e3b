"""What a user writes; the lines that a type checker must object to end in ``# wrong``."""

from __future__ import annotations

import onenter_deadlock_fix
from onenter_deadlock_fix import Detection, Mode, State, Status, activate, deactivate, detect, status

current: Status = status()
state: State = current.state
version: str | None = current.livekit_agents
reason: str = current.reason
detection: Detection = current.detection
handoffs: int = current.handoffs

version_of_the_shim: str = onenter_deadlock_fix.__version__
changed: list[Status] = [activate(), deactivate(), detect(), detect("off"), detect("resolve", after=0.5)]


def watch(mode: Mode) -> Status:
    return detect(mode, after=1)


is_safe = state == "patched" or state == "fixed-upstream"

detect("nonsense")  # wrong
detect("unrecognised")  # wrong
detect(after="soon")  # wrong
detect("report", 5.0)  # wrong
watch("on")  # wrong
current.state = "off"  # wrong
a_state: State = "fixed"  # wrong
a_number: int = current.livekit_agents  # wrong
print(current.stat)  # wrong
print(onenter_deadlock_fix.nothing)  # wrong
