"""Play scenarios and print, as one JSON object, what they ran on and their outcomes."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import platform
import sys
from typing import Any

from observing import label, own_functions, replaced
from programs import map_in_forks

# what the package wraps: for the fix, and for detection
FUNCTIONS = (
    "AgentTask._AgentTask__await_impl",
    "AgentSession._update_activity",
    "AgentActivity.update_chat_ctx",
    "AgentActivity.pause",
    "AgentActivity.drain",
    "AgentSession._aclose_impl",
    "RunResult.__await__",
)
_ONE_AFTER_ANOTHER = 8  # scenarios that are played in one process: the first one in it is dear


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a scenario to play; all of them without one")
    parser.add_argument("--at-once", type=int, default=4, metavar="N", help="how many to play at once (default: 4)")
    options = parser.parse_args()
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
    # what detection makes of it, apart from what happened
    detected = {
        key: {name: outcome.pop(key) for name, outcome in outcomes.items() if key in outcome}
        for key in ("log", "cycle", "waiting")
    }
    about["scenarios"] = {name: inspect.getdoc(known[name]) for name in names}
    about["declared"] = {name: declared[name] for name in names}
    json.dump({**about, "outcomes": outcomes, **detected}, sys.stdout, indent=2)
    print()


def _import_both() -> dict[str, Any]:
    """Import the shim and then livekit-agents, as a program does, and return what is there now."""
    with own_functions() as functions:
        import onenter_deadlock_fix
        import livekit.agents  # isort: skip
    import wrapt

    assert {label(*function) for function in functions} >= set(FUNCTIONS)
    wrapped = replaced(functions)
    return {
        "shim": onenter_deadlock_fix.__version__,
        "livekit_agents": livekit.agents.__version__,
        "python": platform.python_version(),
        "wrapt": wrapt.__version__,
        "wrapt_extension": "wrapt._wrappers" in sys.modules,
        "state": onenter_deadlock_fix.status().state,
        "detection": onenter_deadlock_fix.status().detection,
        "functions": {name: "wrapped" if name in wrapped else "its own" for name in FUNCTIONS},
    }


if __name__ == "__main__":
    main()
