"""How on_enter, replies, tools, AgentTasks and the session's end combine: small agent programs, each with an outcome.

``python -m scenarios [NAME ...]``, in ``tests/``, plays them on the installed livekit-agents in virtual time and prints
as JSON what came out. A new scenario is one function below a ``@scenario`` in one of these files; its docstring is its
line in the tables, and where it hangs, the decorator says what detection makes of it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Coroutine
from typing import Any, Callable

Scenario = Callable[[], Coroutine[Any, Any, None]]

_scenarios: dict[str, Scenario] = {}


def scenario(function: Scenario | None = None, **made_of_it: Any) -> Any:
    """Make a scenario of a coroutine function. Say what detection makes of it, where it does not simply complete.

    resolved: it hangs, and completes in the mode ``resolve``, on every release.
    reported: it hangs and is reported, on every release that it hangs on, and why it is not resolved.
    told: it hangs and is told as a wait that takes long, on every release that it hangs on, and why it is no deadlock.
    unreported: it hangs and is not reported, or not on every release, and why.
    aborted: it is deadlocked until a time-out, a cancellation or a failure strikes. It is reported before that, and
        completes before that in the mode ``resolve``.
    """
    if function is None:
        return functools.partial(scenario, **made_of_it)
    assert function.__doc__, f"{function.__name__} needs a docstring"
    assert function.__name__ not in _scenarios, f"there are two scenarios {function.__name__}"
    ways = {"resolved", "reported", "told", "unreported", "aborted"}
    assert made_of_it.keys() <= ways, f"{function.__name__}: {made_of_it}"
    _scenarios[function.__name__] = function
    declared[function.__name__] = made_of_it
    return function


declared: dict[str, dict[str, Any]] = {}  # what is said of each scenario


def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name, file by file."""
    for module in pkgutil.iter_modules(__path__):
        if module.name != "__main__":
            importlib.import_module(f"{__name__}.{module.name}")
    return _scenarios
