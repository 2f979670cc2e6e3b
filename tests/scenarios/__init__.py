"""How on_enter, replies, tools, AgentTasks and the session's end combine: small agent programs, each with an outcome.

``python -m scenarios [NAME ...]``, in ``tests/``, plays them on the installed livekit-agents, each in a process of its
own, and prints what came out as JSON. A new scenario is one function below a ``@scenario`` in one of these files; its
docstring is its line in the tables, and where it hangs, the decorator says what detection makes of it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Coroutine
from typing import Any, Callable

Scenario = Callable[[], Coroutine[Any, Any, None]]

_scenarios: dict[str, Scenario] = {}


def scenario(
    function: Scenario | None = None, *, resolved: bool = False, reported: str = "", unreported: str = ""
) -> Any:
    """Make a scenario of a coroutine function. For one that hangs, say what detection makes of that.

    resolved: it completes in the mode ``resolve``, on every release.
    reported: it is reported on every release that it hangs on, and why it is not resolved.
    unreported: it is not, or not on every release, and why.
    """
    if function is None:
        return functools.partial(scenario, resolved=resolved, reported=reported, unreported=unreported)
    assert function.__doc__, f"{function.__name__} needs a docstring"
    assert function.__name__ not in _scenarios, f"there are two scenarios {function.__name__}"
    _scenarios[function.__name__] = function
    hangs[function.__name__] = {"resolved": resolved, "reported": reported, "unreported": unreported}
    return function


hangs: dict[str, dict[str, Any]] = {}  # what is said of each scenario


def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name, file by file."""
    for module in pkgutil.iter_modules(__path__):
        if module.name != "__main__":
            importlib.import_module(f"{__name__}.{module.name}")
    return _scenarios
