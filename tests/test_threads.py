"""``activate()``, ``deactivate()`` and ``detect()`` from several threads at once end in a state that is true."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Callable

from programs import run

Output = Callable[..., Any]

RACE = """
import json, random, sys, threading
import onenter_deadlock_fix as shim
from livekit.agents import AgentSession, AgentTask
from livekit.agents.voice.agent_activity import AgentActivity

sys.setswitchinterval(1e-6)
calls = [shim.activate, shim.deactivate, shim.detect, lambda: shim.detect("off"), shim.status]
told = []

def agrees(status):
    methods = [(AgentTask, "_AgentTask__await_impl"), (AgentSession, "_update_activity")]
    fix = [type(vars(owner)[name]).__name__.endswith("MethodWrapper") for owner, name in methods]
    watched = [vars(AgentActivity)[name].__globals__["__name__"] for name in ("pause", "drain")]
    detection = [module.startswith("onenter_deadlock_fix.") for module in watched]
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


def test_state_is_true_after_any_calls_at_once(output: Output) -> None:
    assert output(RACE) == [True] * 20


def test_deactivate_holds_while_another_thread_imports_the_library(output: Output) -> None:
    assert output(IMPORT_MEANWHILE) == ["off", "function"]


def test_nothing_is_imported_or_logged_while_the_lock_is_held(tmp_path: Path) -> None:
    ended = run([sys.executable, str(Path(__file__).with_name("lock_program.py"))], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert seen["taken"] > 0
    assert seen["while held"] == []


LOG_HANDLER_THAT_WAITS = """
import json, logging, threading
import onenter_deadlock_fix as shim
states = []
class Handler(logging.Handler):
    def handle(self, record):
        asks = threading.Thread(target=lambda: states.append(shim.status().state), daemon=True)
        asks.start()
        asks.join(30)
logging.getLogger("onenter_deadlock_fix").addHandler(Handler())
logging.getLogger("onenter_deadlock_fix").setLevel(logging.DEBUG)
import livekit.agents
shim.deactivate()
print(json.dumps(states))
"""


def test_log_handler_may_wait_for_a_thread_that_asks_for_the_status(output: Output) -> None:
    assert output(LOG_HANDLER_THAT_WAITS) == ["patched", "off"]
