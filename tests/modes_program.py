"""What a program sees that imports the shim, does something, imports the library and does something more.

``python modes_program.py BEFORE AFTERWARDS``, each a JSON list of calls of the shim (name, positional and keyword
arguments), where ``environment`` sets variables. Prints as JSON the last status, which functions are not the library's
own, after how many seconds detection looks, whether any of it is imported, and what was logged.
"""

from __future__ import annotations

import builtins
import json
import logging
import os
import sys
from typing import Any

made: dict[tuple[type, str], object] = {}  # the functions of the library's classes, as their class statements made them
records: list[list[str]] = []
build_class = builtins.__build_class__


def noting(body: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    cls = build_class(body, name, *args, **kwargs)
    if body.__module__.startswith("livekit.agents.voice."):
        made.update({(cls, name): value for name, value in list(vars(cls).items()) if callable(value)})
    return cls


class Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        records.append([record.levelname, record.getMessage()])


def call_all(calls: str) -> None:
    for name, arguments, options in json.loads(calls):
        if name == "environment":
            os.environ.update(options)
        else:
            getattr(onenter_deadlock_fix, name)(*arguments, **options)


logging.getLogger("onenter_deadlock_fix").addHandler(Keep(logging.WARNING))
import onenter_deadlock_fix  # noqa: E402

call_all(sys.argv[1])
builtins.__build_class__ = noting
import livekit.agents  # noqa: E402, F401

builtins.__build_class__ = build_class
call_all(sys.argv[2])
status = onenter_deadlock_fix.status()
others = [f"{cls.__name__}.{name}" for (cls, name), own in made.items() if vars(cls)[name] is not own]
watch: Any = sys.modules.get("onenter_deadlock_fix.detection.watch")
print(
    json.dumps(
        {
            "state": status.state,
            "detection": status.detection,
            "reason": status.reason,
            "others": sorted(others),
            "after": watch._settings.after if watch and watch._settings else None,
            "is_imported": any(name.startswith("onenter_deadlock_fix.detection") for name in sys.modules),
            "records": records,
        }
    )
)
