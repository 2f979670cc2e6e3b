"""The shim patches an affected release whose code it knows, and nothing else; whatever it finds, the program lives."""

from __future__ import annotations

import logging
import sys
import types
from typing import Any, Callable

import pytest
from programs import AlteredLibrary
from recorder import record

UPDATE_ACTIVITY = "AgentSession._update_activity"
BOTH = [UPDATE_ACTIVITY, "AgentTask._AgentTask__await_impl"]
AGENT, SESSION, ACTIVITY = "voice/agent.py", "voice/agent_session.py", "voice/agent_activity.py"
NOT_ACTIVE = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5"

Observe = Callable[..., Any]


RELEASES = {
    "predates": ["1.1.7", "1.2.0rc1"],
    "patched": ["1.2.6", "1.3.0rc1", "1.3.5", "1.3.5+acme.1", "1.3.5.post1", "1.3.6rc1"],
    "fixed-upstream": ["1.3.6", "1.3.6+acme.1", "2.0.0b1"],
    "unrecognised": ["acme-build-7"],
}


@pytest.mark.parametrize(("state", "version"), [(state, version) for state in RELEASES for version in RELEASES[state]])
def test_release_decides_first(state: str, version: str, altered: AlteredLibrary, observe: Observe) -> None:
    altered.set_version(version)
    seen = observe(env=altered.env, level=logging.INFO)
    assert (seen["state"], seen["version"]) == (state, version)
    assert seen["wrapped"] == (BOTH if state == "patched" else [])
    assert version in seen["reason"]
    assert (seen["records"] == []) == (state != "unrecognised")  # the first session logs it, too


UPSTREAMS_FIX = """
        blocked_tasks = [current_task]
        if (
            old_activity._on_enter_task
            and not old_activity._on_enter_task.done()
            and current_task is not old_activity._on_enter_task
        ):
            blocked_tasks.append(old_activity._on_enter_task)
"""
RECIPE_OF_THE_ARTICLE = """
        blocked_tasks = [current_task]
        if old_activity._on_enter_task:
            blocked_tasks.append(old_activity._on_enter_task)
"""


@pytest.mark.parametrize("backport", [UPSTREAMS_FIX, RECIPE_OF_THE_ARTICLE])
def test_backport_is_left_alone(backport: str, altered: AlteredLibrary, observe: Observe) -> None:
    altered.replace("blocked_tasks=[current_task]", "blocked_tasks=blocked_tasks", AGENT)
    altered.replace("\n        # TODO(theomonnom): could the RunResult", f"{backport}\n        # TODO", AGENT)
    seen = observe(env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("fixed-upstream", "1.3.5", [])
    assert seen["records"] == []


TRACED = """
def _traced(function):
    return lambda *args, **kwargs: function(*args, **kwargs)

AgentSession._update_activity = _traced(AgentSession._update_activity)
"""
RUN = "_run = AgentTask._AgentTask__await_impl"
INNER = "def __await_impl(self):\n        return self.__inner()\n\n    async def __inner(self)"
WAIT_ON_ENTER = "wait_on_enter: bool = True,"
SESSION_OF_THE_OLD_ACTIVITY = "        session = old_activity.session\n"
LOGS_ON_ENTER = f"{SESSION_OF_THE_OLD_ACTIVITY}        logger.debug('%s', old_activity._on_enter_task)\n"


# a text that is replaced in modules, what is appended to the first of them, and what the reason says
@pytest.mark.parametrize(
    ("old", "new", "modules", "appended", "reason"),
    [
        ("__await_impl", "__run_inline", [AGENT], "", "AgentTask__await_impl"),
        ("async def __await_impl(self)", INNER, [AGENT], "", "__await_impl"),
        ("__await_impl(self)", "__await_impl(self, timeout=None)", [AGENT], "", "__await_impl"),
        ("return self.__await_impl()", "return _run(self)", [AGENT], RUN, "AgentTask.__await__"),
        ("_update_activity(", "_switch_activity(", [AGENT, SESSION], "", "_update_activity"),
        ("blocked_tasks", "ignored_tasks", [AGENT, SESSION, ACTIVITY], "", "blocked_tasks"),
        (WAIT_ON_ENTER, f"{WAIT_ON_ENTER} drain: bool = True,", [SESSION], "", UPDATE_ACTIVITY),
        (WAIT_ON_ENTER, "wait_on_enter: bool = False,", [SESSION], "", UPDATE_ACTIVITY),
        ("_on_enter_task", "_entering_task", [SESSION, ACTIVITY], "", "_on_enter_task"),
        ("_AgentActivityContextVar", "_ActivityVar", [AGENT, ACTIVITY], "", "_AgentActivityContextVar"),
        ("", "", [SESSION], TRACED, UPDATE_ACTIVITY),
        (SESSION_OF_THE_OLD_ACTIVITY, LOGS_ON_ENTER, [AGENT], "", "_on_enter_task, but not as upstream's fix does"),
        ("in self._drain_blocked_tasks:", "in ():", [ACTIVITY], "", "_scheduling_task does not use _drain_blocked"),
    ],
)
def test_build_with_another_fingerprint_is_left_alone_with_a_warning(
    old: str, new: str, modules: list[str], appended: str, reason: str, altered: AlteredLibrary, observe: Observe
) -> None:
    altered.replace(old, new, *modules)
    altered.append(appended, modules[0])
    seen = observe(env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("unrecognised", "1.3.5", [])
    assert reason in seen["reason"]
    assert seen["records"] == [["WARNING", f"{NOT_ACTIVE} (unrecognised): {seen['reason']}", False]]


TRACED_BY_WRAPT = """
import wrapt

@wrapt.decorator
def _traced(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)

AgentSession._update_activity = _traced(AgentSession._update_activity)
"""


def test_library_that_other_code_has_wrapped_already_is_patched(altered: AlteredLibrary, observe: Observe) -> None:
    altered.append(TRACED_BY_WRAPT, SESSION)
    seen = observe(env=altered.env)
    assert (seen["state"], seen["wrapped"]) == ("patched", BOTH)


def sealed(statement: str, method: str, metaclass: str = "type") -> tuple[str, str]:
    """Return the beginning of a class statement, and what replaces it so that a method can't be set."""
    body = f"if name == {method!r}: raise TypeError(f'{{name}} is sealed')\n        super().__setattr__(name, value)"
    cls = f"class _Sealed({metaclass}):\n    def __setattr__(cls, name, value):\n        {body}\n\n\n"
    return statement, f"{cls}{statement}, metaclass=_Sealed"


def test_both_methods_are_patched_or_none(altered: AlteredLibrary, observe: Observe) -> None:
    statement = "class AgentSession(rtc.EventEmitter[EventTypes], Generic[Userdata_T]"
    altered.replace(*sealed(statement, "_update_activity"), SESSION)
    seen = observe(env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("failed", "1.3.5", [])
    assert "_update_activity is sealed" in seen["reason"]
    assert seen["records"] == [["ERROR", f"{NOT_ACTIVE} (failed): {seen['reason']}", True]]


# Detection is installed only where the library's code is what it is written for, or not at all.


@pytest.mark.parametrize(
    ("name", "module", "state", "mismatch"),
    [
        # the fix relies on these, too
        ("_pause_scheduling_task", ACTIVITY, "unrecognised", "there is no AgentActivity._pause_scheduling_task"),
        ("_drain_blocked_tasks", ACTIVITY, "unrecognised", "_scheduling_task does not use _drain_blocked_tasks"),
        ("_wake_up_scheduling_task", ACTIVITY, "patched", "does not use _wake_up_scheduling_task"),
        ("_done_fut", "voice/speech_handle.py", "patched", "SpeechHandle.wait_for_playout does not use _done_fut"),
    ],
)
def test_detection_leaves_other_code_alone_and_the_fix_decides_for_itself(
    name: str, module: str, state: str, mismatch: str, altered: AlteredLibrary, observe: Observe
) -> None:
    altered.replace(name, f"_other{name}", module)
    seen = observe(env={**altered.env, "ONENTER_DEADLOCK_FIX_DETECT": "report"})
    assert (seen["state"], seen["detection"]) == (state, "unrecognised")
    assert seen["replaced"] == (BOTH if state == "patched" else [])
    assert mismatch in seen["reason"].partition("no detection: in this build ")[2]
    ((level, text, _),) = seen["records"]
    assert level == "WARNING"
    assert text.endswith(f"({state}): {seen['reason']}; detection: unrecognised")


def test_other_code_of_a_fixed_release_is_compared_only_if_detection_is_on(
    altered: AlteredLibrary, observe: Observe
) -> None:
    altered.set_version("1.8.9")
    altered.replace("_pause_scheduling_task", "_halt_scheduling_task", ACTIVITY)
    seen = observe(env=altered.env)
    assert (seen["state"], seen["detection"], seen["records"]) == ("fixed-upstream", "off", [])
    seen = observe(env={**altered.env, "ONENTER_DEADLOCK_FIX_DETECT": "report"})
    assert (seen["state"], seen["detection"], len(seen["records"])) == ("fixed-upstream", "unrecognised", 1)


def test_error_while_detection_is_installed_leaves_the_fix_in_place(altered: AlteredLibrary, observe: Observe) -> None:
    altered.replace(*sealed("class AgentActivity(RecognitionHooks", "drain", "type(RecognitionHooks)"), ACTIVITY)
    seen = observe(env={**altered.env, "ONENTER_DEADLOCK_FIX_DETECT": "report"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("patched", "unrecognised", BOTH)
    assert "no detection because of an error: TypeError('drain is sealed')" in seen["reason"]
    assert [level for level, *_ in seen["records"]] == ["ERROR"]


@pytest.mark.in_fork
def test_library_without_a_version_is_not_patched() -> None:
    import onenter_deadlock_fix

    recorder = record()
    for name in ("livekit", "livekit.agents", "livekit.agents.voice"):
        sys.modules[name] = types.ModuleType(name)
    import tabnanny  # noqa: F401  # the next import of anything

    assert [level for level, _ in recorder.messages()] == ["WARNING"]
    status = onenter_deadlock_fix.status()
    assert (status.state, status.livekit_agents) == ("unrecognised", None)


@pytest.mark.in_fork
def test_library_that_is_not_installed() -> None:
    import onenter_deadlock_fix

    sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
    with pytest.raises(ModuleNotFoundError, match="No module named 'livekit'"):
        import livekit.agents  # noqa: F401
    assert onenter_deadlock_fix.status().state == "pending"
