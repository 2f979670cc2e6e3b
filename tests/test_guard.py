"""The shim patches an affected release whose code it knows, and nothing else; whatever it finds, the program lives."""

from __future__ import annotations

import logging
from typing import Any, Callable, NamedTuple

import pytest
from programs import AlteredLibrary

BOTH = ["AgentSession._update_activity", "AgentTask._AgentTask__await_impl"]
UPDATE_ACTIVITY = "AgentSession._update_activity"
AGENT, SESSION, ACTIVITY = "voice/agent.py", "voice/agent_session.py", "voice/agent_activity.py"

Output = Callable[..., Any]
Observe = Callable[..., Any]


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("1.1.7", "predates"),
        ("1.2.0rc1", "predates"),
        ("1.2.6", "patched"),
        ("1.3.0rc1", "patched"),
        ("1.3.5", "patched"),
        ("1.3.5+acme.1", "patched"),
        ("1.3.5.post1", "patched"),
        ("1.3.6rc1", "patched"),
        ("1.3.6", "fixed-upstream"),
        ("1.3.6+acme.1", "fixed-upstream"),
        ("2.0.0b1", "fixed-upstream"),
        ("acme-build-7", "unrecognised"),
    ],
)
def test_release_decides_first(version: str, state: str, altered: AlteredLibrary, observe: Observe) -> None:
    altered.set_version(version)
    seen = observe(env=altered.env)
    assert (seen["state"], seen["version"]) == (state, version)
    assert seen["wrapped"] == (BOTH if state == "patched" else [])
    assert version in seen["reason"]


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


class Alteration(NamedTuple):
    """A text that is replaced in modules, a text that is appended to the first of them, and what the reason names."""

    old: str
    new: str
    modules: tuple[str, ...]
    named: str
    appended: str = ""


TRACED = """
def _traced(function):
    return lambda *args, **kwargs: function(*args, **kwargs)

AgentSession._update_activity = _traced(AgentSession._update_activity)
"""
WAIT_ON_ENTER, ON_ENTER_DEBUG = "wait_on_enter: bool = True,", "logger.debug('%s', old_activity._on_enter_task)"
INNER = "def __await_impl(self):\n        return self.__inner()\n\n    async def __inner(self)"
RUN = "_run = AgentTask._AgentTask__await_impl"


@pytest.mark.parametrize(
    "alteration",
    [
        Alteration("__await_impl", "__run_inline", (AGENT,), "_AgentTask__await_impl"),
        Alteration("async def __await_impl(self)", INNER, (AGENT,), "__await_impl"),
        Alteration("__await_impl(self)", "__await_impl(self, timeout=None)", (AGENT,), "__await_impl"),
        Alteration("return self.__await_impl()", "return _run(self)", (AGENT,), "AgentTask.__await__", RUN),
        Alteration("_update_activity(", "_switch_activity(", (AGENT, SESSION), "_update_activity"),
        Alteration("blocked_tasks", "ignored_tasks", (AGENT, SESSION, ACTIVITY), "blocked_tasks"),
        Alteration(WAIT_ON_ENTER, f"{WAIT_ON_ENTER} drain: bool = True,", (SESSION,), UPDATE_ACTIVITY),
        Alteration(WAIT_ON_ENTER, "wait_on_enter: bool = False,", (SESSION,), UPDATE_ACTIVITY),
        Alteration("_on_enter_task", "_entering_task", (SESSION, ACTIVITY), "_on_enter_task"),
        Alteration("_AgentActivityContextVar", "_ActivityVar", (AGENT, ACTIVITY), "_AgentActivityContextVar"),
        Alteration("", "", (SESSION,), UPDATE_ACTIVITY, TRACED),
        Alteration(
            "        session = old_activity.session\n",
            f"        session = old_activity.session\n        {ON_ENTER_DEBUG}\n",
            (AGENT,),
            "AgentTask.__await_impl uses _on_enter_task, but not as upstream's fix does",
        ),
        Alteration(
            "pause(blocked_tasks=blocked_tasks or [])",
            "pause(blocked_tasks=[])",
            (SESSION,),
            f"{UPDATE_ACTIVITY} does not pass blocked_tasks on",
        ),
        Alteration(
            "in self._drain_blocked_tasks:",
            "in ():",
            (ACTIVITY,),
            "AgentActivity._scheduling_task does not use _drain_blocked_tasks",
        ),
    ],
)
def test_build_with_another_fingerprint_is_left_alone_with_a_warning(
    alteration: Alteration, altered: AlteredLibrary, observe: Observe
) -> None:
    altered.replace(alteration.old, alteration.new, *alteration.modules)
    altered.append(alteration.appended, alteration.modules[0])
    seen = observe(env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("unrecognised", "1.3.5", [])
    assert alteration.named in seen["reason"]
    effect = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (unrecognised)"
    assert seen["records"] == [["WARNING", f"{effect}: {seen['reason']}", False]]


def test_wrapper_of_others_below_ours_changes_no_fingerprint(altered: AlteredLibrary, observe: Observe) -> None:
    altered.append(
        """
        import wrapt

        @wrapt.decorator
        def _traced(wrapped, instance, args, kwargs):
            return wrapped(*args, **kwargs)

        AgentSession._update_activity = _traced(AgentSession._update_activity)
        """,
        SESSION,
    )
    seen = observe(env=altered.env)
    assert (seen["state"], seen["wrapped"]) == ("patched", BOTH)


def test_patching_is_all_or_nothing(altered: AlteredLibrary, observe: Observe) -> None:
    altered.replace(
        "class AgentSession(rtc.EventEmitter[EventTypes], Generic[Userdata_T]):",
        "class _Sealed(type):\n"
        "    def __setattr__(cls, name, value):\n"
        "        if name == '_update_activity':\n"
        "            raise TypeError(f'{name} is sealed')\n"
        "        super().__setattr__(name, value)\n\n\n"
        "class AgentSession(rtc.EventEmitter[EventTypes], Generic[Userdata_T], metaclass=_Sealed):",
        SESSION,
    )
    seen = observe(env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("failed", "1.3.5", [])
    assert "_update_activity is sealed" in seen["reason"]
    effect = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (failed)"
    assert seen["records"] == [["ERROR", f"{effect}: {seen['reason']}", True]]


def test_import_of_a_patched_library_is_logged_at_debug_and_its_first_session_at_info(observe: Observe) -> None:
    seen = observe(level=logging.INFO)
    assert seen["records"] == []
    assert "livekit/agents issue #4109" in seen["reason"]


def test_library_that_does_not_say_its_release_is_left_alone(output: Output) -> None:
    seen = output(
        """
        import json, sys, types
        sys.modules["livekit"] = livekit = types.ModuleType("livekit")
        sys.modules["livekit.agents"] = livekit.agents = types.ModuleType("livekit.agents")
        sys.modules["livekit.agents.voice"] = livekit.agents.voice = types.ModuleType("livekit.agents.voice")
        import onenter_deadlock_fix
        status = onenter_deadlock_fix.status()
        print(json.dumps([status.state, status.livekit_agents]))
        """
    )
    assert seen == ["unrecognised", None]


def test_missing_library_fails_as_it_does_without_the_shim(altered: AlteredLibrary, output: Output) -> None:
    seen = output(
        """
        import json, sys
        import onenter_deadlock_fix
        sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
        try:
            import livekit.agents
        except ModuleNotFoundError as error:
            print(json.dumps([error.name, onenter_deadlock_fix.status().state]))
        """
    )
    assert seen == ["livekit", "pending"]


def test_library_that_fails_to_import_fails_with_its_own_error_and_can_be_tried_again(
    altered: AlteredLibrary, output: Output
) -> None:
    altered.replace(
        "from .plugin import Plugin",
        "import os\nif os.environ.pop('BREAK', ''): raise OSError('broken')\nfrom .plugin import Plugin",
        "__init__.py",
    )
    seen = output(
        """
        import json, sys
        import onenter_deadlock_fix
        try:
            import livekit.agents
        except OSError as error:
            first = [str(error), onenter_deadlock_fix.status().state]
        import livekit.agents
        print(json.dumps(first + [onenter_deadlock_fix.status().state]))
        """,
        env={**altered.env, "BREAK": "1"},
    )
    assert seen == ["broken", "pending", "patched"]
