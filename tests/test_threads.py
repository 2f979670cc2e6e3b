"""``activate()``, ``deactivate()`` and ``detect()`` from several threads at once end in a state that is true."""

from __future__ import annotations

from typing import Any, Callable

Tell = Callable[..., Any]

RACE = """
import json, random, sys, threading
import onenter_deadlock_fix as shim
from livekit.agents import AgentSession, AgentTask
from livekit.agents.voice.agent_activity import AgentActivity

sys.setswitchinterval(1e-6)
calls = [shim.activate, shim.deactivate, shim.detect, lambda: shim.detect("off"), shim.status]
told = []

def agrees(status):
    fix, detection = (
        [type(vars(owner)[name]).__name__ == "_Wrapper" for owner, name in functions]
        for functions in (
            [(AgentTask, "_AgentTask__await_impl"), (AgentSession, "_update_activity")],
            [(AgentActivity, name) for name in ("pause", "drain")],
        )
    )
    return fix == [status.state == "patched"] * 2 and detection == [status.detection == "report"] * 2

def change(seed):
    chance = random.Random(seed)
    barrier.wait()
    for _ in range(20):
        chance.choice(calls)()

for number in range(20):
    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=change, args=(number * 4 + seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.append(agrees(shim.status()))
print(json.dumps(told))
"""

IMPORT_MEANWHILE = """
import json, sys, threading
import onenter_deadlock_fix as shim
library = threading.Thread(target=lambda: __import__("livekit.agents"))
library.start()
states = []
while library.is_alive():
    shim.activate()
    shim.deactivate()
library.join()
from livekit.agents import AgentTask
print(json.dumps([shim.status().state, type(vars(AgentTask)["_AgentTask__await_impl"]).__name__]))
"""


def test_state_is_true_after_any_calls_at_once(tell: Tell) -> None:
    assert tell(RACE) == [True] * 20


def test_deactivate_holds_while_another_thread_imports_the_library(tell: Tell) -> None:
    assert tell(IMPORT_MEANWHILE) == ["off", "function"]
