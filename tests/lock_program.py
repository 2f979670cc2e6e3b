"""What happens while the shim's lock is held, from the shim's import to a handoff that it changes.

Prints as JSON how often the lock was taken, and what was imported or logged while it was held, which may be a deadlock
with an import in another thread, or with a log handler that waits for one.
"""

from __future__ import annotations

import builtins
import json
import logging
import sys
from typing import Any

from recorder import record

import onenter_deadlock_fix
from onenter_deadlock_fix import _activation


class Lock:
    held = taken = 0

    def __enter__(self) -> None:
        self.held += 1
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.held -= 1


def note(event: str) -> None:
    seen.append(event)
    if lock.held:
        while_held.append(event)


def noting_import(name: str, *args: Any) -> Any:
    before = len(sys.modules)
    module = real_import(name, *args)
    if len(sys.modules) > before:  # else it was imported already, which waits for nobody
        note(f"import: {name}")
    return module


lock = Lock()
seen: list[str] = []
while_held: list[str] = []
_activation._lock = lock  # type: ignore[assignment]
real_import = builtins.__import__
builtins.__import__ = noting_import
record(logging.DEBUG, on_record=lambda record: note(f"log: {record.getMessage()}"))

onenter_deadlock_fix.status()
onenter_deadlock_fix.deactivate()
real_import("livekit.agents")
onenter_deadlock_fix.activate()
onenter_deadlock_fix.detect("report")
onenter_deadlock_fix.detect("no mode")  # type: ignore[arg-type]
onenter_deadlock_fix.deactivate()
onenter_deadlock_fix.activate()

builtins.__import__ = real_import
assert {event.partition(": ")[0] for event in seen} == {"import", "log"}, seen
json.dump({"taken": lock.taken, "while held": while_held}, sys.stdout)
