"""Importing the package patches livekit-agents once: before the library, after it, or in the middle of its import."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any, Callable

import pytest
from programs import AlteredLibrary
from recorder import record
from wrapped_methods import WRAPPED_ONCE, wrappers

pytestmark = pytest.mark.in_fork  # where neither the package nor livekit-agents is imported

PURGE_THE_PACKAGE = "from wrapped_methods import purge; purge('onenter_deadlock_fix')"
# wrapt's own import hook for the same module, as other instrumentation has it
OTHER_HOOK = "import wrapt; wrapt.register_post_import_hook(lambda module: None, 'livekit.agents')"


@pytest.mark.parametrize(
    "imports",
    [
        "import onenter_deadlock_fix, livekit.agents",
        "import livekit.agents, onenter_deadlock_fix",
        "import onenter_deadlock_fix; from livekit.agents.voice import AgentTask",
        "import onenter_deadlock_fix as shim, livekit.agents; shim.activate()",
        "import onenter_deadlock_fix, livekit.agents, importlib; importlib.reload(onenter_deadlock_fix)",
        "import onenter_deadlock_fix as shim, importlib; importlib.reload(shim._import_hook); shim.activate()",
        f"import onenter_deadlock_fix, livekit.agents\n{PURGE_THE_PACKAGE}\nimport onenter_deadlock_fix",
        f"import onenter_deadlock_fix\n{PURGE_THE_PACKAGE}\nimport onenter_deadlock_fix",
        f"import onenter_deadlock_fix\n{OTHER_HOOK}",
        f"{OTHER_HOOK}\nimport onenter_deadlock_fix",
    ],
)
def test_library_is_patched_once(imports: str) -> None:
    exec(imports, {})
    import livekit.agents  # noqa: F401

    assert wrappers() == WRAPPED_ONCE
    assert sys.modules["onenter_deadlock_fix"].status().state == "patched"
    finders = [type(finder).__module__ for finder in sys.meta_path]
    assert sum("onenter_deadlock_fix" in name for name in finders) == 1


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
def test_half_imported_library_is_patched_when_it_is_complete(module: str, after: str, altered: AlteredLibrary) -> None:
    altered.replace(f"\n{after}", f"\nimport onenter_deadlock_fix\n{after}", module)
    altered.put_on_path()
    recorder = record()
    import livekit.agents  # noqa: F401

    assert wrappers() == WRAPPED_ONCE
    assert recorder.messages() == []  # nothing was tried before


def test_library_that_another_thread_imports_meanwhile_is_patched() -> None:
    library = threading.Thread(target=lambda: __import__("livekit.agents"))
    library.start()
    while "livekit.agents" not in sys.modules:
        pass
    import onenter_deadlock_fix

    library.join()
    assert wrappers() == WRAPPED_ONCE
    assert onenter_deadlock_fix.status().state == "patched"


NEW_MODULES = """
import json, sys
before = set(sys.modules)
import onenter_deadlock_fix
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.in_fork(False)
def test_nothing_else_is_imported_before_the_library_is(python: Callable[..., Any]) -> None:
    assert json.loads(python(NEW_MODULES).stdout) == [
        "onenter_deadlock_fix",
        "onenter_deadlock_fix._activation",
        "onenter_deadlock_fix._import_hook",
    ]
