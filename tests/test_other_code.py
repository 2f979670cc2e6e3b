"""What other code does to the wrapped methods, and beside the package: wrappers, mocks, copies, replacements."""

from __future__ import annotations

import asyncio
import copy
import functools
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
from wrapped_methods import THE_LIBRARYS_OWN, WRAPPED_ONCE, methods, purge_library, wrappers

AWAIT_IMPL = "_AgentTask__await_impl"


def session() -> Any:
    """Return an AgentSession that can be pickled."""
    from livekit.agents import AgentSession

    kind = type("Session", (AgentSession,), {"__reduce__": lambda self: (session, ())})
    return object.__new__(kind)


def introspected() -> list[object]:
    update_activity = session()._update_activity
    signature = inspect.signature(update_activity)
    return [
        inspect.iscoroutinefunction(update_activity),
        inspect.ismethod(update_activity),
        list(signature.parameters),
        update_activity.__name__,
        update_activity.__doc__,
    ]


def copies_of(function: Any) -> list[Any]:
    return [copy.copy(function), copy.deepcopy(function), pickle.loads(pickle.dumps(function))]


def copied() -> list[object]:
    method = session()._update_activity
    copies = copies_of(method)
    names = [[each.__name__, type(each.__self__).__name__] for each in copies]
    function = type(method.__self__)._update_activity
    return [*names, copies[0].__self__ is method.__self__, [each == function for each in copies_of(function)]]


def mocked() -> list[object]:
    instance = session()
    with mock.patch.object(instance, "_update_activity", autospec=True) as autospecced:
        is_async = inspect.iscoroutinefunction(autospecced)
    with mock.patch.object(instance, "_update_activity") as mocked_activity:
        instance._update_activity("agent", previous_activity="pause").close()
        calls = mocked_activity.call_args_list == [mock.call("agent", previous_activity="pause")]
    with mock.patch.object(instance, "_update_activity", wraps=instance._update_activity) as spy:
        instance._update_activity("agent").close()
        spied = spy.call_count
    return [is_async, calls, spied, "_update_activity" in vars(instance)]


def deactivated(observe: Callable[[], Any]) -> Any:
    import onenter_deadlock_fix

    assert onenter_deadlock_fix.deactivate().state == "off"
    return observe()


@pytest.mark.parametrize("observe", [introspected, copied, mocked])
def test_method_behaves_as_without_the_shim(observe: Callable[[], Any], library: Forks) -> None:
    assert library.call(observe) == library.call(deactivated, observe)


def by_wrapt(owner: Any, wrapper: Any) -> None:
    wrapt.wrap_function_wrapper(owner, AWAIT_IMPL, wrapper)


def by_hand(owner: Any, wrapper: Any) -> None:
    wrapped = getattr(owner, AWAIT_IMPL)
    setattr(owner, AWAIT_IMPL, lambda self: wrapper(wrapped, self, (self,), {}))


def by_hand_from_the_dictionary(owner: Any, wrapper: Any) -> None:
    wrapped = vars(owner)[AWAIT_IMPL]
    setattr(owner, AWAIT_IMPL, lambda self: wrapper(wrapped, self, (self,), {}))


@pytest.mark.in_fork("library")
@pytest.mark.parametrize("wrap", [by_wrapt, by_hand, by_hand_from_the_dictionary])
def test_wrapper_below_one_of_other_code_forwards_calls_until_it_is_activated_again(wrap: Any) -> None:
    from livekit.agents import AgentTask

    import onenter_deadlock_fix as shim
    from onenter_deadlock_fix import _patch

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        called.append("other code")
        return wrapped(*args, **kwargs)

    def calls() -> list[str]:
        called.clear()
        asyncio.run(await_agent_task())
        return list(called)

    async def await_agent_task() -> None:
        agent_task: Any = AgentTask(instructions="")
        with pytest.raises(RuntimeError, match="should only be awaited inside tool_functions"):
            await agent_task
        if _patch.awaited_agent_task() is agent_task:
            called.append("shim")

    called: list[str] = []
    wrap(AgentTask, wrapper)
    outermost = methods()[0]
    assert calls() == ["other code", "shim"]
    shim.deactivate()
    assert (methods()[0] is outermost, wrappers()[1], calls()) == (True, 0, ["other code"])
    shim.activate()
    assert (methods()[0] is outermost, wrappers()[1], calls()) == (True, 1, ["other code", "shim"])


@pytest.mark.in_fork("library")
def test_keyword_that_only_a_wrapper_of_other_code_has_reaches_it() -> None:
    from livekit.agents import AgentSession

    import onenter_deadlock_fix as shim

    def wrap(wrapped: Any) -> Any:
        @functools.wraps(wrapped)
        def wrapper(self: Any, agent: Any, *, reason: Any = None, **kwargs: Any) -> list[Any]:
            return [reason, agent, kwargs.get("wait_on_enter")]

        return wrapper

    shim.deactivate()
    AgentSession._update_activity = wrap(AgentSession._update_activity)  # type: ignore[method-assign]
    assert shim.activate().state == "patched"
    update_activity: Any = AgentSession._update_activity.__get__(object.__new__(AgentSession))
    assert update_activity("agent", reason="slow", wait_on_enter=False) == ["slow", "agent", False]


def replacement(self: Any, agent: Any, **others: Any) -> None: ...


class Raises:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


@pytest.mark.in_fork("library")
@pytest.mark.parametrize(
    ("index", "method", "reason", "when_activated"),
    [
        (1, replacement, "AgentSession._update_activity is now test_other_code.replacement", "unconfirmed"),
        (0, mock.MagicMock, "AgentTask.__await_impl is now unittest.mock.MagicMock", "unconfirmed"),
        (1, Raises, "unknown, because of RuntimeError", "failed"),
    ],
)
def test_method_that_other_code_has_replaced_is_unconfirmed(
    index: int, method: Any, reason: str, when_activated: str
) -> None:
    from livekit.agents import AgentSession, AgentTask

    import onenter_deadlock_fix as shim

    owner, name = [(AgentTask, AWAIT_IMPL), (AgentSession, "_update_activity")][index]
    setattr(owner, name, method() if isinstance(method, type) else method)
    statuses = [shim.status(), shim.activate(), shim.deactivate(), shim.activate()]
    assert [status.state for status in statuses] == ["unconfirmed", when_activated, "off", when_activated]
    assert reason in statuses[0].reason
    assert "in place" not in statuses[0].reason


@pytest.mark.in_fork("library")
def test_method_that_other_code_has_restored_or_deleted() -> None:
    from livekit.agents import AgentSession, AgentTask

    import onenter_deadlock_fix as shim

    own = [method.__wrapped__ for method in methods()]
    setattr(AgentTask, AWAIT_IMPL, own[0])  # as monkeypatch does at the end of a test
    AgentSession._update_activity = own[1]
    assert (shim.activate().state, wrappers()) == ("patched", WRAPPED_ONCE)

    del AgentSession._update_activity
    assert shim.deactivate().state == "off"
    AgentSession._update_activity = own[1]
    assert wrappers() == THE_LIBRARYS_OWN


@pytest.mark.in_fork
@pytest.mark.parametrize("library_comes_last", [True, False])
def test_two_copies_of_the_package_both_patch(library_comes_last: bool, tmp_path: Path) -> None:
    import onenter_deadlock_fix

    package = Path(onenter_deadlock_fix.__file__).parent
    shutil.copytree(package, tmp_path / "vendored" / package.name)
    sys.path.insert(0, str(tmp_path))
    if not library_comes_last:
        importlib.import_module("livekit.agents")
    other = importlib.import_module("vendored.onenter_deadlock_fix")
    importlib.import_module("livekit.agents")

    assert (onenter_deadlock_fix.status().state, other.status().state) == ("patched", "patched")


@pytest.mark.in_fork
def test_purged_library_is_not_kept_alive() -> None:
    import onenter_deadlock_fix

    sessions = []
    for _ in range(2):
        import livekit.agents

        assert onenter_deadlock_fix.status().state == "patched"
        sessions.append(weakref.ref(livekit.agents.AgentSession))
        purge_library()
        del livekit
    gc.collect()
    assert [session() is not None for session in sessions] == [False, True]  # the last also without the shim
