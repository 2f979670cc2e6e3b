"""What other code does to the wrapped methods, to the package and to livekit-agents."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import shutil
import sys
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from programs import Forks

METHODS = "import onenter_deadlock_fix as shim\nfrom livekit.agents import AgentSession, AgentTask\n"


def a_session() -> Any:
    """Return an AgentSession that can be pickled."""
    from livekit.agents import AgentSession

    kind = type("Session", (AgentSession,), {"__reduce__": lambda self: (a_session, ())})
    return object.__new__(kind)


def introspected() -> list[object]:
    update_activity = a_session()._update_activity
    signature = inspect.signature(update_activity)
    return [
        inspect.iscoroutinefunction(update_activity),
        inspect.ismethod(update_activity),
        list(signature.parameters),
        update_activity.__name__,
        update_activity.__doc__,
    ]


def copied() -> list[object]:
    session = a_session()
    method = session._update_activity
    copies = [copy.copy(method), copy.deepcopy(method), pickle.loads(pickle.dumps(method))]
    return [[each.__name__, type(each.__self__).__name__] for each in copies] + [copies[0].__self__ is session]


def mocked() -> list[object]:
    session = a_session()
    with mock.patch.object(session, "_update_activity", autospec=True) as autospecced:
        is_async = inspect.iscoroutinefunction(autospecced)
    with mock.patch.object(session, "_update_activity") as mocked_activity:
        session._update_activity("agent", previous_activity="pause").close()
        calls = mocked_activity.call_args_list == [mock.call("agent", previous_activity="pause")]
    with mock.patch.object(session, "_update_activity", wraps=session._update_activity) as spy:
        session._update_activity("agent").close()
        spied = spy.call_count
    return [is_async, calls, spied, "_update_activity" in vars(session)]


@pytest.mark.parametrize("look", [introspected, copied, mocked])
def test_bound_method_does_as_without_the_shim(look: Any, library: Forks) -> None:
    assert library.call(look) == library.call(deactivated, look)


def deactivated(look: Any) -> Any:
    import onenter_deadlock_fix

    assert onenter_deadlock_fix.deactivate().state == "off"
    return look()


REPLACED = """
def replacement(self, agent, **others): ...
AgentSession._update_activity = replacement
"""
REPLACED_BY_A_MOCK = """
from unittest.mock import MagicMock
AgentTask._AgentTask__await_impl = MagicMock()
"""


@pytest.mark.parametrize(
    ("replace", "named"),
    [
        (REPLACED, "AgentSession._update_activity is now __main__.replacement"),
        (REPLACED_BY_A_MOCK, "AgentTask.__await_impl is now "),
    ],
)
def test_method_that_was_replaced_since_is_unconfirmed(replace: str, named: str, output: Any) -> None:
    asked = "[shim.status(), shim.activate(), shim.deactivate(), shim.activate()]"
    told = f"import json\nprint(json.dumps([[status.state, status.reason] for status in {asked}]))"
    seen = output(f"{METHODS}{replace}{told}")
    assert [state for state, _ in seen] == ["unconfirmed", "unconfirmed", "off", "unconfirmed"]
    assert named in seen[0][1]
    assert "in place" not in seen[0][1]


@pytest.mark.parametrize("order", ["both, then the library", "the library between them"])
def test_two_copies_of_the_package_are_both_patched(order: str, tmp_path: Path, forks: Forks) -> None:
    import onenter_deadlock_fix

    (tmp_path / "vendored").mkdir()
    (tmp_path / "vendored" / "__init__.py").touch()
    shutil.copytree(Path(onenter_deadlock_fix.__file__).parent, tmp_path / "vendored" / "onenter_deadlock_fix")
    imports = ["import onenter_deadlock_fix as one", "import vendored.onenter_deadlock_fix as other"]
    imports.insert(2 if order.startswith("both") else 1, "import livekit.agents")
    program = [*imports, "print(one.status().state, other.status().state)"]
    ended = forks.run(["-c", "\n".join(program)], cwd=tmp_path)
    assert ended.stdout == "patched patched\n", ended.stderr


def alive_after_purges() -> list[bool]:
    import onenter_deadlock_fix

    alive = []
    for _ in range(2):
        import livekit.agents

        assert onenter_deadlock_fix.status().state == "patched"
        alive.append(weakref.ref(livekit.agents.AgentSession))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("livekit", "prometheus_client")]:
            del sys.modules[name]
        del livekit
    gc.collect()
    return [each() is not None for each in alive]


def test_library_that_was_purged_is_not_kept_alive(forks: Forks) -> None:
    # the last one is alive without the shim, too
    assert forks.call(alive_after_purges) == [False, True]


AT_SHUTDOWN = """
import atexit, builtins, sys
import onenter_deadlock_fix as shim
LIBRARY

class Calls:
    def __del__(self):
        for call in (shim.status, shim.activate, shim.deactivate, shim.detect):
            call()
        print("called", flush=True)

atexit.register(Calls().__del__)
kept, builtins.kept, sys.kept, shim._activation.kept = Calls(), Calls(), Calls(), Calls()
kept.itself = kept
"""


@pytest.mark.parametrize("imported", ["", "import livekit.agents", "import livekit.agents; shim.detect()"])
def test_api_raises_nothing_while_the_interpreter_shuts_down(imported: str, python: Any) -> None:
    ended = python(AT_SHUTDOWN.replace("LIBRARY", imported))
    assert ended.returncode == 0
    assert ended.stdout.count("called") >= 3  # some objects are never deleted
    assert "Exception ignored" not in ended.stderr
