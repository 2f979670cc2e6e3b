"""What other code does to the wrapped methods, and beside the package: wrappers, mocks, copies, replacements."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import inspect
import pickle
import shutil
import sys
import weakref
from pathlib import Path
from typing import Any, Callable
from unittest import mock

import pytest
import wrapt
from programs import Forks
from wrapped_methods import (
    AWAIT_IMPL,
    THE_LIBRARYS_OWN,
    UPDATE_ACTIVITY,
    WRAPPED_ONCE,
    classes,
    methods,
    purge_library,
    wrappers,
)

import onenter_deadlock_fix as shim


def session() -> Any:
    """Return an AgentSession that can be pickled."""
    kind = type("Session", (classes()[1],), {"__reduce__": lambda self: (session, ())})
    return object.__new__(kind)


def introspected() -> list[object]:
    method = session()._update_activity
    parameters = list(inspect.signature(method).parameters)
    return [inspect.iscoroutinefunction(method), inspect.ismethod(method), parameters, method.__name__, method.__doc__]


def copied() -> list[object]:
    method, function = session()._update_activity, classes()[1]._update_activity
    bound, unbound = ([copy.copy(it), copy.deepcopy(it), pickle.loads(pickle.dumps(it))] for it in (method, function))
    names = [[each.__name__, type(each.__self__).__name__] for each in bound]
    return [*names, bound[0].__self__ is method.__self__, [each == function for each in unbound]]


def mocked() -> list[object]:
    instance = session()
    with mock.patch.object(instance, UPDATE_ACTIVITY, autospec=True) as autospecced:
        is_async = inspect.iscoroutinefunction(autospecced)
    with mock.patch.object(instance, UPDATE_ACTIVITY) as mocked_activity:
        instance._update_activity("agent", previous_activity="pause").close()
        calls = mocked_activity.call_args_list == [mock.call("agent", previous_activity="pause")]
    with mock.patch.object(instance, UPDATE_ACTIVITY, wraps=instance._update_activity) as spy:
        instance._update_activity("agent").close()
        spied = spy.call_count
    return [is_async, calls, spied, UPDATE_ACTIVITY in vars(instance)]


@pytest.mark.parametrize("observe", [introspected, copied, mocked])
def test_method_behaves_as_without_the_shim(observe: Callable[[], Any], library: Forks) -> None:
    assert library.call(observe) == library.call(deactivated, observe)


def deactivated(observe: Callable[[], Any]) -> Any:
    assert shim.deactivate().state == "off"
    return observe()


@pytest.mark.in_fork("library")
@pytest.mark.parametrize("way", ["by wrapt", "from the class", "from its dictionary"])
def test_wrapper_below_one_of_other_code_forwards_calls_until_it_is_activated_again(way: str) -> None:
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        called.append("other code")
        return wrapped(*args, **kwargs)

    async def await_agent_task() -> None:
        instance = agent_task(instructions="")
        with pytest.raises(RuntimeError, match="should only be awaited inside tool_functions"):
            await instance
        if _patch.awaited_agent_task() is instance:
            called.append("shim")

    def state() -> list[object]:
        called.clear()
        asyncio.run(await_agent_task())
        return [methods()[0] is outermost, wrappers()[1], *called]

    from onenter_deadlock_fix import _patch

    called: list[str] = []
    agent_task, _ = classes()
    if way == "by wrapt":
        wrapt.wrap_function_wrapper(agent_task, AWAIT_IMPL, wrapper)
    else:
        wrapped = getattr(agent_task, AWAIT_IMPL) if way == "from the class" else vars(agent_task)[AWAIT_IMPL]
        setattr(agent_task, AWAIT_IMPL, lambda self: wrapper(wrapped, self, (self,), {}))
    outermost = methods()[0]
    assert state() == [True, 1, "other code", "shim"]
    shim.deactivate()
    assert state() == [True, 0, "other code"]
    shim.activate()
    assert state() == [True, 1, "other code", "shim"]


def replacement(self: Any, agent: Any, **others: Any) -> None: ...


class Raises:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


@pytest.mark.in_fork("library")
@pytest.mark.parametrize(
    ("index", "method", "reason", "when_activated"),
    [
        (1, replacement, "_update_activity is now livekit.agents.voice.agent_session.replacement", "unconfirmed"),
        (1, property, "AgentSession._update_activity is now builtins.property", "unconfirmed"),
        (0, mock.MagicMock, "AgentTask.__await_impl is now unittest.mock.MagicMock", "unconfirmed"),
        (1, Raises, "unknown, because of RuntimeError", "failed"),
    ],
)
def test_method_that_other_code_has_replaced_is_unconfirmed(
    index: int, method: Any, reason: str, when_activated: str
) -> None:
    if method is replacement:
        method.__module__ = classes()[index].__module__  # as decorators may copy it
    setattr(classes()[index], [AWAIT_IMPL, UPDATE_ACTIVITY][index], method() if isinstance(method, type) else method)
    statuses = [shim.status(), shim.activate(), shim.deactivate(), shim.activate()]
    assert [status.state for status in statuses] == ["unconfirmed", when_activated, "off", when_activated]
    assert reason in statuses[0].reason
    assert "are installed" not in statuses[0].reason


@pytest.mark.in_fork("library")
def test_method_that_other_code_has_restored_or_deleted() -> None:
    agent_task, agent_session = classes()
    own = [method.__wrapped__ for method in methods()]
    setattr(agent_task, AWAIT_IMPL, own[0])  # as monkeypatch does at the end of a test
    agent_session._update_activity = own[1]
    assert (shim.activate().state, wrappers()) == ("patched", WRAPPED_ONCE)
    del agent_session._update_activity
    assert shim.deactivate().state == "off"
    agent_session._update_activity = own[1]
    assert wrappers() == THE_LIBRARYS_OWN


@pytest.mark.in_fork("library")
def test_detection_is_switched_off_where_other_code_has_deleted_a_method_that_it_watches() -> None:
    from livekit.agents.voice.agent_activity import AgentActivity

    assert shim.detect().detection == "report"
    del AgentActivity.pause
    assert shim.deactivate().detection == "off"


@pytest.mark.in_fork
@pytest.mark.parametrize("library_comes_last", [True, False])
def test_two_copies_of_the_package_both_patch(library_comes_last: bool, tmp_path: Path) -> None:
    package = Path(shim.__file__).parent
    shutil.copytree(package, tmp_path / "vendored" / package.name)
    sys.path.insert(0, str(tmp_path))
    if not library_comes_last:
        importlib.import_module("livekit.agents")
    other = importlib.import_module("vendored.onenter_deadlock_fix")
    importlib.import_module("livekit.agents")

    assert (shim.status().state, other.status().state) == ("patched", "patched")


@pytest.mark.in_fork
def test_purged_library_is_not_kept_alive() -> None:
    sessions = []
    for _ in range(2):
        import livekit.agents

        assert shim.status().state == "patched"
        sessions.append(weakref.ref(livekit.agents.AgentSession))
        purge_library()
        del livekit
    gc.collect()
    assert [session() is not None for session in sessions] == [False, True]  # the last also without the shim
