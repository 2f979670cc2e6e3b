"""activate(), deactivate(), status() and Status, as the README has them."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Output = Callable[..., Any]

# The library's own functions before anything is patched, and what is in their place later.
FUNCTIONS = """
import json
import onenter_deadlock_fix as shim
shim.deactivate()
from livekit.agents.voice.agent import AgentTask
from livekit.agents.voice.agent_session import AgentSession

def functions():
    return [vars(AgentTask)["_AgentTask__await_impl"], vars(AgentSession)["_update_activity"]]

own = functions()
def are_own():
    return [now is before for now, before in zip(functions(), own)]
"""


def test_status_is_a_frozen_dataclass_that_tells_state_version_and_reason(output: Output) -> None:
    seen = output(
        """
        import dataclasses, json
        import onenter_deadlock_fix
        from onenter_deadlock_fix import Status
        before = onenter_deadlock_fix.status()
        import livekit.agents
        after = onenter_deadlock_fix.status()
        try:
            after.state = "off"
        except dataclasses.FrozenInstanceError:
            frozen = True
        print(json.dumps([isinstance(after, Status), frozen, dataclasses.asdict(before), dataclasses.asdict(after)]))
        """
    )
    is_status, frozen, before, after = seen
    assert (is_status, frozen) == (True, True)
    assert before == {
        "state": "pending",
        "livekit_agents": None,
        "reason": "livekit.agents is not imported yet",
        "detection": "off",
        "handoffs": 0,
    }
    assert (after["state"], after["livekit_agents"], after["detection"]) == ("patched", "1.3.5", "off")


def test_deactivate_before_the_library_arrives_leaves_it_alone(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        "now = shim.status()\n"
        "print(json.dumps([now.state, now.livekit_agents, [type(function).__name__ for function in own]]))"
    )
    assert seen == ["off", "1.3.5", ["function", "function"]]


def test_deactivate_puts_the_librarys_own_functions_back_and_activate_works_again(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        "states, owns = [], []\n"
        "for call in (shim.activate, shim.activate, shim.deactivate, shim.deactivate, shim.activate, shim.status):\n"
        "    states.append(call().state)\n"
        "    owns.append(are_own())\n"
        "print(json.dumps([states, owns]))"
    )
    ours, own = [False, False], [True, True]
    assert seen == [["patched", "patched", "off", "off", "patched", "patched"], [ours, ours, own, own, ours, ours]]


def test_environment_switch_wins_over_activate(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\nprint(json.dumps([shim.activate().state, are_own()]))", env={"ONENTER_DEADLOCK_FIX": "off"}
    )
    assert seen == ["off", [True, True]]


WITH_WRAPT = "wrapt.wrap_function_wrapper(AgentTask, '_AgentTask__await_impl', theirs)"
BY_HAND = """
def by_hand(wrapped):
    return lambda self: theirs(wrapped, self, (self,), {})
AgentTask._AgentTask__await_impl = by_hand(AgentTask._AgentTask__await_impl)
"""
FROM_THE_DICTIONARY = """
def by_hand(wrapped):
    return lambda self: theirs(wrapped, self, (self,), {})
AgentTask._AgentTask__await_impl = by_hand(vars(AgentTask)["_AgentTask__await_impl"])
"""


@pytest.mark.parametrize("wrap", [WITH_WRAPT, BY_HAND, FROM_THE_DICTIONARY])
def test_wrappers_below_those_of_others_pass_everything_through_until_activated_again(
    wrap: str, output: Output
) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        """
import asyncio, wrapt

shim.activate()
calls = []

def theirs(wrapped, instance, args, kwargs):
    calls.append("theirs")
    return wrapped(*args, **kwargs)

WRAP
on_top = functions()[0]

def ours_takes_part():
    # ours marks the awaited AgentTask; the library then complains of where it is awaited
    from onenter_deadlock_fix import _patch

    async def main():
        agent_task = AgentTask(instructions="")
        try:
            await agent_task
        except RuntimeError as error:
            assert "should only be awaited inside tool_functions" in str(error), error
        if _patch.awaited_agent_task() is agent_task:
            calls.append("ours")
    calls.clear()
    asyncio.run(main())
    return "ours" in calls, "theirs" in calls

seen = [ours_takes_part()]
shim.deactivate()
seen += [functions()[0] is on_top, functions()[1] is own[1], ours_takes_part()]
shim.activate()
seen += [functions()[0] is on_top, ours_takes_part()]
print(json.dumps(seen))
""".replace("WRAP", wrap)
    )
    assert seen == [[True, True], True, True, [False, True], True, [True, True]]


def test_keyword_that_only_a_wrapper_of_others_knows_reaches_it(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        """
import functools

def theirs(wrapped):
    @functools.wraps(wrapped)
    def wrapper(self, agent, *, reason=None, **kwargs):
        return [reason, agent, kwargs.get("wait_on_enter")]
    return wrapper

shim.deactivate()
AgentSession._update_activity = theirs(AgentSession._update_activity)
state = shim.activate().state
update_activity = AgentSession._update_activity.__get__(object.__new__(AgentSession))
print(json.dumps([state, update_activity("agent", reason="long_wait", wait_on_enter=False)]))
"""
    )
    assert seen == ["patched", ["long_wait", "agent", False]]


def test_activate_puts_on_again_what_others_have_taken_off(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        "shim.activate()\n"
        "AgentTask._AgentTask__await_impl, AgentSession._update_activity = own  # as a test's monkeypatch restores\n"
        "print(json.dumps([are_own(), shim.activate().state, are_own()]))"
    )
    assert seen == [[True, True], "patched", [False, False]]


def test_nothing_is_exported_but_the_api(output: Output) -> None:
    seen = output(
        """
        import json
        import onenter_deadlock_fix
        try:
            onenter_deadlock_fix.nothing
        except AttributeError as error:
            missing = str(error)
        print(json.dumps([sorted(onenter_deadlock_fix.__all__), missing]))
        """
    )
    assert seen == [
        ["Detection", "Mode", "State", "Status", "__version__", "activate", "deactivate", "detect", "status"],
        "module 'onenter_deadlock_fix' has no attribute 'nothing'",
    ]


@pytest.mark.parametrize("switch", ["on", "no known value"])
def test_a_log_handler_that_raises_does_not_fail_the_import(switch: str, output: Output) -> None:
    seen = output(
        """
        import json, logging
        class Broken(logging.Handler):
            def handle(self, record):
                raise RuntimeError("the program's own logging is broken")
        logging.getLogger("onenter_deadlock_fix").addHandler(Broken())
        logging.getLogger("onenter_deadlock_fix").setLevel(logging.DEBUG)
        import onenter_deadlock_fix, livekit.agents
        print(json.dumps(onenter_deadlock_fix.status().state))
        """,
        env={"ONENTER_DEADLOCK_FIX": switch},
    )
    assert seen == "patched"


PENDING = """
import json
import onenter_deadlock_fix as shim
statuses = CALLS
print(json.dumps([[status.state, status.detection, status.reason] for status in statuses]))
"""


def test_what_was_asked_for_before_the_library_came_is_in_the_status_meanwhile(output: Output) -> None:
    calls = "[shim.status(), shim.detect('resolve'), shim.status(), shim.deactivate(), shim.activate()]"
    waiting, off = "livekit.agents is not imported yet", "switched off by deactivate()"
    assert output(PENDING.replace("CALLS", calls), env={"ONENTER_DEADLOCK_FIX_DETECT": "report"}) == [
        ["pending", "report", waiting],
        ["pending", "resolve", waiting],
        ["pending", "resolve", waiting],
        ["off", "off", off],
        ["pending", "resolve", waiting],
    ]


def test_what_is_no_mode_is_in_the_reason_before_the_library_has_come(output: Output) -> None:
    ((state, detection, reason),) = output(PENDING.replace("CALLS", "[shim.detect('loud', after=0)]"))
    assert (state, detection) == ("pending", "report")
    assert "detect() with mode loud is no known mode" in reason
    assert "detect() with after=0 is no number of seconds" in reason


@pytest.mark.parametrize("environment", [{}, {"ONENTER_DEADLOCK_FIX_DETECT": "off"}])
def test_nothing_of_detection_is_imported_where_nothing_asks_for_it(
    environment: dict[str, str], output: Output
) -> None:
    seen = output(
        """
        import json, sys
        import onenter_deadlock_fix, livekit.agents
        onenter_deadlock_fix.status(), onenter_deadlock_fix.deactivate(), onenter_deadlock_fix.activate()
        print(json.dumps([name for name in sys.modules if name.startswith("onenter_deadlock_fix.")]))
        """,
        env=environment,
    )
    modules = ("_activation", "_guard", "_import_hook", "_patch", "_status", "_wrapping")
    assert sorted(seen) == [f"onenter_deadlock_fix.{name}" for name in modules]


PURGE = """
import sys
for name in [name for name in sys.modules if name.startswith("onenter_deadlock_fix")]:
    del sys.modules[name]
"""


@pytest.mark.parametrize("purge", ["", PURGE])
def test_calls_raise_nothing_where_the_package_was_purged(purge: str, output: Output) -> None:
    """A test runner purges modules, and a module that has imported the package goes on to use it."""
    seen = output(
        f"{FUNCTIONS}\nshim.activate()\n{purge}\n"
        "calls = (shim.status, shim.deactivate, shim.activate, lambda: shim.detect('report'), shim.status)\n"
        "print(json.dumps([[(now := call()).state, now.detection] for call in calls]))"
    )
    assert seen == [
        ["patched", "off"],
        ["off", "off"],
        ["patched", "off"],
        ["patched", "report"],
        ["patched", "report"],
    ]


def test_calls_raise_nothing_where_what_has_replaced_a_method_raises(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        """
class Odd:
    def __getattr__(self, name):
        raise RuntimeError(name)

shim.activate()
AgentSession._update_activity = Odd()
now = shim.status()
print(json.dumps([now.state, now.reason.rpartition(": ")[2], shim.deactivate().state, are_own()[0]]))
"""
    )
    assert seen == ["unconfirmed", "unknown, because of RuntimeError", "off", True]


def test_deactivate_puts_one_function_back_where_the_other_was_deleted(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        "shim.activate()\n"
        "del AgentSession._update_activity\n"
        "state = shim.deactivate().state\n"
        "AgentSession._update_activity = own[1]\n"
        "print(json.dumps([state, are_own()]))"
    )
    assert seen == ["off", [True, True]]


def test_method_is_copied_and_pickled_as_without_the_shim_also_where_it_is_taken_from_its_class(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        """
import copy, pickle

shim.activate()
function = AgentSession._update_activity
copies = [copy.copy(function), copy.deepcopy(function), pickle.loads(pickle.dumps(function))]
print(json.dumps([each == function for each in copies]))
"""
    )
    assert seen == [True, True, True]


def test_outcome_that_another_thread_has_overtaken_is_not_logged(output: Output) -> None:
    seen = output(
        f"{FUNCTIONS}\n"
        """
import logging
from onenter_deadlock_fix import _activation

records = []
class Handler(logging.Handler):
    def handle(self, record):
        records.append(record.getMessage())
logging.getLogger("onenter_deadlock_fix").addHandler(Handler())
logging.getLogger("onenter_deadlock_fix").setLevel(logging.DEBUG)
apply = _activation._apply

def overtaken(settings, *others):
    if settings["fix"]:  # deactivate() of another thread, when these settings are about to be applied
        _activation._settings = {**settings, "fix": False}
    return apply(settings, *others)

_activation._apply = overtaken
print(json.dumps([shim.activate().state, [record for record in records if "(patched)" in record]]))
"""
    )
    assert seen == ["off", []]


ALARM = """
import json, logging, signal, sys
import onenter_deadlock_fix

class Handler(logging.Handler):
    def handle(self, record):
        signal.raise_signal(signal.SIGALRM)

class Limit(Exception):
    pass

SIGNAL_HANDLER
signal.signal(signal.SIGALRM, on_alarm)
logging.getLogger("onenter_deadlock_fix").addHandler(Handler())
logging.getLogger("onenter_deadlock_fix").setLevel(logging.DEBUG)
try:
    import livekit.agents
    raised = False
except Limit:
    raised = True
print(json.dumps(raised))
"""


@pytest.mark.parametrize(
    "handler",
    [
        "def on_alarm(number, frame): raise Limit",
        "def on_alarm(*args): raise Limit",
        "def on_alarm(number, frame=None, *, more=()): raise Limit",
    ],
)
def test_exception_of_a_signal_handler_is_not_taken_for_one_of_a_log_handler(handler: str, output: Output) -> None:
    assert output(ALARM.replace("SIGNAL_HANDLER", handler)) is True


def test_log_handler_that_holds_its_callers_frame_and_raises_does_not_fail_the_import(output: Output) -> None:
    body = "caller = sys._getframe(1)\n        raise Limit"
    program = ALARM.replace("signal.raise_signal(signal.SIGALRM)", body).replace("SIGNAL_HANDLER", "on_alarm = print")
    assert output(program) is False
