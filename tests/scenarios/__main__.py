"""Plays scenarios and prints, as one JSON object, what they ran on and what came out."""

from __future__ import annotations

import argparse
import builtins
import importlib
import inspect
import json
import logging
import platform
import sys
from types import FunctionType
from typing import Any

from programs import map_in_forks

# what the shim wraps where it does: for the fix, and for detection
FUNCTIONS = (
    ("agent", "AgentTask", "_AgentTask__await_impl"),
    ("agent_session", "AgentSession", "_update_activity"),
    ("agent_activity", "AgentActivity", "update_chat_ctx"),
    ("agent_activity", "AgentActivity", "pause"),
    ("agent_activity", "AgentActivity", "drain"),
    ("agent_session", "AgentSession", "_aclose_impl"),
    ("run_result", "RunResult", "__await__"),
)
_ONE_AFTER_ANOTHER = 8  # scenarios that are played in one process: the first one in it is dear


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a scenario to play; all of them without one")
    parser.add_argument("--at-once", type=int, default=4, metavar="N", help="how many to play at once (default: 4)")
    parser.add_argument("--log", action="store_true", help="let livekit-agents log to standard error")
    options = parser.parse_args()
    if not options.log:
        logging.getLogger().addHandler(logging.NullHandler())  # and not to standard error

    about = _import_both()
    from . import declared, scenarios

    known = scenarios()
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"there is no scenario {unknown[0]}")
    names = options.names or list(known)
    from .stage import play  # before the forks

    played = map_in_forks(
        play,
        [known[name] for name in names],
        at_once=options.at_once,
        one_after_another=_ONE_AFTER_ANOTHER,
        failed=lambda error: {"ended": f"error: {error!r}"},
    )
    outcomes = dict(zip(names, played))
    said = {name: inspect.getdoc(known[name]) for name in names}
    # what detection makes of it, apart from what happened
    detected = {
        key: {name: outcome.pop(key) for name, outcome in outcomes.items() if key in outcome}
        for key in ("log", "cycle", "waiting")
    }
    made_of_them = {name: declared[name] for name in names}
    json.dump(
        {**about, "scenarios": said, "declared": made_of_them, "outcomes": outcomes, **detected}, sys.stdout, indent=2
    )
    print()


def _import_both() -> dict[str, Any]:
    """Import the shim and then livekit-agents, as a program does, and return what is there now."""
    made: dict[tuple[type, str], object] = {}
    build_class = builtins.__build_class__

    def noting(body: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Make a class, and keep the functions as its class statement made them."""
        cls = build_class(body, name, *args, **kwargs)
        if body.__module__.startswith("livekit.agents.voice."):
            made.update({(cls, function): vars(cls)[function] for *_, function in FUNCTIONS if function in vars(cls)})
        return cls

    builtins.__build_class__ = noting
    try:
        import onenter_deadlock_fix
        import livekit.agents  # isort: skip
    finally:
        builtins.__build_class__ = build_class
    import wrapt

    functions = {}
    for module, owner, name in FUNCTIONS:
        cls = getattr(importlib.import_module(f"livekit.agents.voice.{module}"), owner)
        now = vars(cls)[name]
        its_own = now is made[cls, name] and type(now) is FunctionType
        functions[f"{owner}.{name}"] = "its own" if its_own else "wrapped"
    return {
        "shim": onenter_deadlock_fix.__version__,
        "livekit_agents": livekit.agents.__version__,
        "python": platform.python_version(),
        "wrapt": wrapt.__version__,
        "wrapt_extension": "wrapt._wrappers" in sys.modules,
        "state": onenter_deadlock_fix.status().state,
        "detection": onenter_deadlock_fix.status().detection,
        "functions": functions,
    }


if __name__ == "__main__":
    main()
