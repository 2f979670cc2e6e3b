"""How on_enter, replies, tools, AgentTasks and the session's end combine: small agent programs, each with an outcome.

``python -m scenarios [NAME ...]``, in ``tests/``, plays them on the installed livekit-agents, each in a process of its
own, and prints what came out as JSON. A new scenario is one function below a ``@scenario`` in one of these files; its
docstring is its line in the tables.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Coroutine
from typing import Any, Callable

Scenario = Callable[[], Coroutine[Any, Any, None]]

_scenarios: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Make a scenario of a coroutine function."""
    assert function.__doc__, f"{function.__name__} needs a docstring"
    assert function.__name__ not in _scenarios, f"there are two scenarios {function.__name__}"
    _scenarios[function.__name__] = function
    return function


def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name, file by file."""
    for module in pkgutil.iter_modules(__path__):
        if module.name != "__main__":
            importlib.import_module(f"{__name__}.{module.name}")
    return _scenarios
