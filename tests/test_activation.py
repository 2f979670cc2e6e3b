"""Importing the shim activates it: before the library, after it, or in the middle of it, and once for all."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from programs import AlteredLibrary

Output = Callable[..., Any]

LAYERS = """
import json, sys
from livekit.agents.voice.agent import AgentTask
from livekit.agents.voice.agent_session import AgentSession

def layers(function):
    return 1 + layers(function.__wrapped__) if hasattr(function, "__wrapped__") else 0

def report():
    functions = [AgentTask._AgentTask__await_impl, AgentSession._update_activity]
    print(json.dumps([sys.modules["onenter_deadlock_fix"].status().state, *map(layers, functions)]))
"""
PATCHED_ONCE = ["patched", 1, 1]

PURGE = """
import sys
for name in [name for name in sys.modules if name.startswith("onenter_deadlock_fix")]:
    del sys.modules[name]
"""

FINDER_THAT_TAKES_ITSELF_OFF = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "livekit.agents":
            sys.meta_path.remove(self)
import onenter_deadlock_fix
sys.meta_path.insert(1, Finder())
"""

# what other tools' import hooks do, and importlib's documentation
FINDER_IN_FRONT = """
import sys
from importlib.machinery import PathFinder
import onenter_deadlock_fix
class Finder:
    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, path)
sys.meta_path.insert(0, Finder())
"""
LOADED_BY_HAND = """
import importlib.util, sys
import livekit.rtc, onenter_deadlock_fix
from importlib.machinery import PathFinder
spec = PathFinder.find_spec("livekit.agents", sys.modules["livekit"].__path__)
sys.modules["livekit.agents"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import onenter_deadlock_fix, livekit.agents",
        "import livekit.agents, onenter_deadlock_fix",
        "import onenter_deadlock_fix; from livekit.agents.voice import AgentTask",
        "import onenter_deadlock_fix, onenter_deadlock_fix as again, livekit.agents; again.activate()",
        # looking for the library is not importing it
        "import onenter_deadlock_fix, importlib.util; importlib.util.find_spec('livekit.agents')",
        "import onenter_deadlock_fix, livekit.agents, importlib; importlib.reload(onenter_deadlock_fix)",
        "import onenter_deadlock_fix as fix, importlib; importlib.reload(fix._import_hook); fix.activate()",
        # what test runners and notebooks do to import afresh, after the library and before it
        f"import onenter_deadlock_fix, livekit.agents\n{PURGE}\nimport onenter_deadlock_fix",
        f"import onenter_deadlock_fix\n{PURGE}\nimport onenter_deadlock_fix",
        # wrapt's own import hook for the same module, as other instrumentation has it
        "import onenter_deadlock_fix, wrapt; wrapt.register_post_import_hook(lambda module: None, 'livekit.agents')",
        "import wrapt; wrapt.register_post_import_hook(lambda module: None, 'livekit.agents'); "
        "import onenter_deadlock_fix",
    ],
)
def test_library_is_patched_once(imports: str, output: Output) -> None:
    assert output(f"{imports}\n{LAYERS}\nreport()") == PATCHED_ONCE


def test_finder_that_takes_itself_off_during_the_search_is_no_obstacle(output: Output) -> None:
    assert output(f"{FINDER_THAT_TAKES_ITSELF_OFF}\n{LAYERS}\nreport()") == PATCHED_ONCE


@pytest.mark.parametrize("past", [FINDER_IN_FRONT, LOADED_BY_HAND])
def test_library_that_came_past_the_finder_is_patched_when_the_status_is_asked(past: str, output: Output) -> None:
    asked = "sys.modules['onenter_deadlock_fix'].status()"
    assert output(f"{past}\n{LAYERS}\n{asked}\nreport()") == PATCHED_ONCE


@pytest.mark.parametrize(
    ("module", "after"),
    [
        ("__init__.py", "import typing"),
        ("__init__.py", "from .voice import ("),  # where the library imports its own voice package
        ("job.py", "import asyncio"),
        ("voice/__init__.py", "from .agent import"),
        ("voice/agent.py", "import asyncio"),
        ("voice/agent_session.py", "import asyncio"),
    ],
)
def test_half_imported_library_is_patched_when_it_is_complete(
    module: str, after: str, altered: AlteredLibrary, output: Output
) -> None:
    altered.replace(f"\n{after}", f"\nimport onenter_deadlock_fix\n{after}", module)
    assert output(f"import livekit.agents\n{LAYERS}\nreport()", env=altered.env) == PATCHED_ONCE


IMPORT_IN_ANOTHER_THREAD = """
import sys, threading
library = threading.Thread(target=lambda: __import__("livekit.agents"))
library.start()
while "livekit.agents" not in sys.modules:
    pass
import onenter_deadlock_fix
library.join()
"""


def test_library_that_another_thread_imports_meanwhile_is_patched(output: Output) -> None:
    assert output(f"{IMPORT_IN_ANOTHER_THREAD}\n{LAYERS}\nreport()") == PATCHED_ONCE


def test_library_keeps_its_own_loader_and_spec(output: Output) -> None:
    seen = output(
        """
        import json
        import onenter_deadlock_fix, livekit.agents
        loader, spec = livekit.agents.__loader__, livekit.agents.__spec__
        print(json.dumps([type(loader).__name__, type(spec).__name__, spec.loader is loader]))
        """
    )
    assert seen == ["SourceFileLoader", "ModuleSpec", True]


def test_there_is_one_finder_before_the_library_and_after_it(output: Output) -> None:
    seen = output(
        """
        import json, sys
        import onenter_deadlock_fix
        def ours():
            return sum("onenter" in type(finder).__module__ for finder in sys.meta_path)
        waiting = ours()
        import livekit.agents
        onenter_deadlock_fix.deactivate()
        onenter_deadlock_fix.activate()
        print(json.dumps([waiting, ours()]))
        """
    )
    assert seen == [1, 1]


PURGE_THE_LIBRARY = """
import sys
import onenter_deadlock_fix as shim
import livekit.agents
first = livekit.agents.AgentTask
# with prometheus_client, in which livekit.agents can register its metrics only once
for name in [name for name in sys.modules if name.partition(".")[0] in ("livekit", "prometheus_client")]:
    del sys.modules[name]
states = [shim.status().state]
import livekit.agents
assert livekit.agents.AgentTask is not first
"""


def test_library_that_is_imported_anew_is_patched_and_spoken_of(output: Output) -> None:
    assert output(f"{PURGE_THE_LIBRARY}\n{LAYERS}\nreport()") == PATCHED_ONCE


def test_switching_means_the_library_that_is_there_now(output: Output) -> None:
    seen = output(
        f"{PURGE_THE_LIBRARY}\n"
        "import json\n"
        "def own():\n"
        "    AgentTask, AgentSession = livekit.agents.AgentTask, livekit.agents.AgentSession\n"
        "    functions = (AgentTask._AgentTask__await_impl, AgentSession._update_activity)\n"
        "    return [not hasattr(function, '__wrapped__') for function in functions]\n"
        "for change in (shim.status, shim.deactivate, shim.activate):\n"
        "    states += [change().state, own()]\n"
        "print(json.dumps(states))"
    )
    ours, own = [False, False], [True, True]
    assert seen == ["pending", "patched", ours, "off", own, "patched", ours]


def test_nothing_heavy_is_imported_before_the_library_is(output_afresh: Output) -> None:
    seen = output_afresh(
        """
        import sys
        before = set(sys.modules)
        import onenter_deadlock_fix
        new = set(sys.modules) - before
        import json
        print(json.dumps(sorted(new)))
        """
    )
    assert seen == ["onenter_deadlock_fix", "onenter_deadlock_fix._activation", "onenter_deadlock_fix._import_hook"]
