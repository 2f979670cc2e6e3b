"""Import the package and then livekit-agents, and return what a program sees of that."""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from recorder import record

Call = tuple[str, tuple[Any, ...], dict[str, Any]]
Functions = dict[tuple[type, str], object]

_RENAMED = {"LiveSession": "AgentSession"}  # in 2.0.0b1


@contextlib.contextmanager
def own_functions() -> Iterator[Functions]:
    """Collect the functions of livekit-agents' classes meanwhile, as their class statements make them."""
    functions: Functions = {}
    build_class = builtins.__build_class__

    def collecting(body: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        cls = build_class(body, name, *args, **kwargs)
        if body.__module__.startswith("livekit.agents.voice."):
            functions.update({(cls, name): value for name, value in list(vars(cls).items()) if callable(value)})
        return cls

    builtins.__build_class__ = collecting
    try:
        yield functions
    finally:
        builtins.__build_class__ = build_class


def label(cls: type, name: str) -> str:
    """Return the name of a function of a class, by the name that the class has on most releases."""
    return f"{_RENAMED.get(cls.__name__, cls.__name__)}.{name}"


def replaced(functions: Functions) -> list[str]:
    """Return the names of the functions that their classes do not have any more."""
    return sorted(label(cls, name) for (cls, name), own in functions.items() if vars(cls).get(name) is not own)


def call(name: str, *args: Any, **kwargs: Any) -> Call:
    """Return a call of a function of the package by its name; ``environment`` sets variables."""
    return name, args, kwargs


def observe(
    *,
    before: Iterable[Call] = (),
    afterwards: Iterable[Call] = (),
    env: Mapping[str, str] | None = None,
    level: int = logging.WARNING,
) -> dict[str, Any]:
    """Return the status, and more, after calls of the package before the import of livekit-agents and after it.

    wrapped: the functions that are wrapped by the package. replaced: those that are not the library's own any more.
    after: detection's seconds. records: level, message and whether there is a traceback, from a level on.
    """
    os.environ.update(env or {})
    sys.path[:0] = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    recorder = record(level)
    import onenter_deadlock_fix

    def make(calls: Iterable[Call]) -> None:
        for name, args, kwargs in calls:
            (os.environ.update if name == "environment" else getattr(onenter_deadlock_fix, name))(*args, **kwargs)

    make(before)
    with own_functions() as functions:
        import livekit.agents  # noqa: F401
    make(afterwards)
    status = onenter_deadlock_fix.status()
    names = replaced(functions)
    now = {label(cls, name): vars(cls).get(name) for cls, name in functions}
    watch: Any = sys.modules.get("onenter_deadlock_fix.detection.watch")
    return {
        **{name: getattr(status, name) for name in ("state", "detection", "reason")},
        "version": status.livekit_agents,
        "wrapped": [name for name in names if type(now[name]).__module__.startswith("onenter_deadlock_fix.")],
        "replaced": names,
        "after": watch._settings.after if watch and watch._settings else None,
        "records": [[one.levelname, one.getMessage(), bool(one.exc_info)] for one in recorder.records],
    }
