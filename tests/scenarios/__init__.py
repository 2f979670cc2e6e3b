"""How on_enter, replies, tools, AgentTasks and the session's end combine: small agent programs, each with an outcome.

``python -m scenarios [NAME ...]``, in ``tests/``, plays them on the installed livekit-agents in virtual time and prints
the outcomes as JSON. A new scenario is one function or agent below a ``@scenario`` in one of these files; its docstring
is its line in the tables, and where it hangs, the decorator says what is expected of detection.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from typing import Any

Scenario = Any  # a coroutine function without parameters, or a class of agents

_scenarios: dict[str, Scenario] = {}
declared: dict[str, dict[str, Any]] = {}  # by the scenario's name, what is expected of detection
agent_scenarios: dict[Any, dict[str, Any]] = {}  # by the agent, how it is played

_EXPECTATIONS = ("resolved", "reported", "long_wait", "unreported", "aborted")
_WAYS_TO_PLAY = ("answers", "until", "user", "model")


def scenario(function: Scenario = None, **options: Any) -> Any:
    """Make a scenario of a coroutine function, or of an agent, whose session is over when its on_enter goes on.

    until: the step that the session is over with, or None: when nothing moves any more.
    user: what the user says when the session has started, which is over with the reply to that.
    answers: what the model answers, besides the usual answers.
    model: the class of the session's model, which is ScriptedLLM without that.

    What is expected of detection, where the scenario does not simply complete:

    resolved: it hangs, and completes in the mode ``resolve``, on every release.
    reported: it hangs and is reported, on every release that it hangs on, and why it is not resolved.
    long_wait: it hangs and is reported as a long wait, on every release that it hangs on, and why it is no deadlock.
    unreported: it hangs and is not reported, or not on every release, and why.
    aborted: it is deadlocked until a time-out, a cancellation or a failure strikes. It is reported before that, and
        completes before that in the mode ``resolve``.
    """
    if function is None:
        return functools.partial(scenario, **options)
    name = function.__name__
    assert function.__doc__, f"{name} needs a docstring"
    assert name not in _scenarios, f"there are two scenarios {name}"
    _scenarios[name] = function
    if isinstance(function, type):
        agent_scenarios[function] = {option: options.pop(option) for option in _WAYS_TO_PLAY if option in options}
    assert options.keys() <= set(_EXPECTATIONS), f"{name}: {options}"
    declared[name] = options
    return function


def add_scenario(name: str, sentence: str, function: Scenario, **options: Any) -> Scenario:
    """Make a scenario of a row of a table, and an attribute of its module, as which it is pickled."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = sentence
    setattr(sys.modules[function.__module__], name, function)
    return scenario(function, **options)


def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name, file by file."""
    for module in pkgutil.iter_modules(__path__):
        if module.name != "__main__":
            importlib.import_module(f"{__name__}.{module.name}")
    return _scenarios
