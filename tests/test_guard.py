"""The shim patches an affected release whose code it knows, and nothing else; whatever it finds, the program lives."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from programs import AlteredLibrary

# What a program that imports the shim and then the library sees: the status, which functions are not plain ones any
# more, and what was logged.
OBSERVE = """
import json, logging, types

records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append([record.levelname, record.getMessage(), bool(record.exc_info)])
logging.getLogger("onenter_deadlock_fix").addHandler(Keep())
logging.getLogger("onenter_deadlock_fix").setLevel(logging.INFO)

import onenter_deadlock_fix
import livekit.agents
from livekit.agents.voice import agent, agent_session

functions = vars(agent.AgentTask).items() | vars(agent_session.AgentSession).items()
wrapped = sorted(name for name, value in functions if "onenter_deadlock_fix" in type(value).__module__)
status = onenter_deadlock_fix.status()
print(json.dumps({"state": status.state, "version": status.livekit_agents, "reason": status.reason,
                  "wrapped": wrapped, "records": records}))
"""
BOTH = ["_AgentTask__await_impl", "_update_activity"]
AGENT, SESSION, ACTIVITY = "voice/agent.py", "voice/agent_session.py", "voice/agent_activity.py"

Tell = Callable[..., Any]


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
def test_release_decides_first(version: str, state: str, altered: AlteredLibrary, tell: Tell) -> None:
    altered.set_version(version)
    seen = tell(OBSERVE, env=altered.env)
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
def test_backport_is_left_alone(backport: str, altered: AlteredLibrary, tell: Tell) -> None:
    altered.replace("blocked_tasks=[current_task]", "blocked_tasks=blocked_tasks", AGENT)
    altered.replace("\n        # TODO(theomonnom): could the RunResult", f"{backport}\n        # TODO", AGENT)
    seen = tell(OBSERVE, env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("fixed-upstream", "1.3.5", [])
    assert seen["records"] == []


def await_impl_renamed(library: AlteredLibrary) -> str:
    library.replace("__await_impl", "__run_inline", AGENT)
    return "_AgentTask__await_impl"


def await_impl_not_a_coroutine_function(library: AlteredLibrary) -> str:
    library.replace(
        "async def __await_impl(self)",
        "def __await_impl(self):\n        return self.__inner()\n\n    async def __inner(self)",
        AGENT,
    )
    return "__await_impl"


def await_impl_with_a_parameter(library: AlteredLibrary) -> str:
    library.replace("__await_impl(self)", "__await_impl(self, timeout=None)", AGENT)
    return "__await_impl"


def await_that_does_not_go_through_self(library: AlteredLibrary) -> str:
    library.replace("return self.__await_impl().__await__()", "return _run(self).__await__()", AGENT)
    library.append("_run = AgentTask._AgentTask__await_impl", AGENT)
    return "AgentTask.__await__"


def update_activity_renamed(library: AlteredLibrary) -> str:
    library.replace("_update_activity(", "_switch_activity(", AGENT, SESSION)
    return "_update_activity"


def parameter_renamed(library: AlteredLibrary) -> str:
    library.replace("blocked_tasks", "ignored_tasks", AGENT, SESSION, ACTIVITY)
    return "blocked_tasks"


def parameter_added(library: AlteredLibrary) -> str:
    library.replace("wait_on_enter: bool = True,", "wait_on_enter: bool = True,\n        drain: bool = True,", SESSION)
    return "AgentSession._update_activity"


def other_default(library: AlteredLibrary) -> str:
    library.replace("wait_on_enter: bool = True,", "wait_on_enter: bool = False,", SESSION)
    return "AgentSession._update_activity"


def on_enter_task_renamed(library: AlteredLibrary) -> str:
    library.replace("_on_enter_task", "_entering_task", SESSION, ACTIVITY)
    return "_on_enter_task"


def context_variable_renamed(library: AlteredLibrary) -> str:
    library.replace("_AgentActivityContextVar", "_ActivityContextVar", AGENT, ACTIVITY)
    return "_AgentActivityContextVar"


def update_activity_behind_a_decorator(library: AlteredLibrary) -> str:
    library.append(
        """
        def _traced(function):
            async def call(*args, **kwargs):
                return await function(*args, **kwargs)
            return call

        AgentSession._update_activity = _traced(AgentSession._update_activity)
        """,
        SESSION,
    )
    return "AgentSession._update_activity"


def debug_line_that_names_the_task_of_on_enter(library: AlteredLibrary) -> str:
    debug = "logger.debug('to %s, on_enter is %s', self, old_activity._on_enter_task)"
    library.replace(
        "        session = old_activity.session\n", f"        session = old_activity.session\n        {debug}\n", AGENT
    )
    return "AgentTask.__await_impl uses _on_enter_task, but not as upstream's fix does"


def update_activity_that_drops_the_blocked_tasks(library: AlteredLibrary) -> str:
    library.replace("pause(blocked_tasks=blocked_tasks or [])", "pause(blocked_tasks=[])", SESSION)
    return "AgentSession._update_activity does not pass blocked_tasks on"


def scheduling_task_that_ignores_the_blocked_tasks(library: AlteredLibrary) -> str:
    library.replace("in self._drain_blocked_tasks:", "in ():", ACTIVITY)
    return "AgentActivity._scheduling_task does not use _drain_blocked_tasks"


@pytest.mark.parametrize(
    "alter",
    [
        debug_line_that_names_the_task_of_on_enter,
        update_activity_that_drops_the_blocked_tasks,
        scheduling_task_that_ignores_the_blocked_tasks,
        await_impl_renamed,
        await_impl_not_a_coroutine_function,
        await_impl_with_a_parameter,
        await_that_does_not_go_through_self,
        update_activity_renamed,
        parameter_renamed,
        parameter_added,
        other_default,
        on_enter_task_renamed,
        context_variable_renamed,
        update_activity_behind_a_decorator,
    ],
)
def test_build_with_another_fingerprint_is_left_alone_with_a_warning(
    alter: Callable[[AlteredLibrary], str], altered: AlteredLibrary, tell: Tell
) -> None:
    named = alter(altered)
    seen = tell(OBSERVE, env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("unrecognised", "1.3.5", [])
    assert named in seen["reason"]
    effect = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (unrecognised)"
    assert seen["records"] == [["WARNING", f"{effect}: {seen['reason']}", False]]


def test_wrapper_of_others_below_ours_changes_no_fingerprint(altered: AlteredLibrary, tell: Tell) -> None:
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
    seen = tell(OBSERVE, env=altered.env)
    assert (seen["state"], seen["wrapped"]) == ("patched", BOTH)


def test_patching_is_all_or_nothing(altered: AlteredLibrary, tell: Tell) -> None:
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
    seen = tell(OBSERVE, env=altered.env)
    assert (seen["state"], seen["version"], seen["wrapped"]) == ("failed", "1.3.5", [])
    assert "_update_activity is sealed" in seen["reason"]
    effect = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (failed)"
    assert seen["records"] == [["ERROR", f"{effect}: {seen['reason']}", True]]


def test_import_of_a_patched_library_is_logged_at_debug_and_its_first_session_at_info(tell: Tell) -> None:
    seen = tell(OBSERVE)
    assert seen["records"] == []
    assert "livekit/agents issue #4109" in seen["reason"]


def test_library_that_does_not_say_its_release_is_left_alone(tell: Tell) -> None:
    seen = tell(
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


def test_missing_library_fails_as_it_does_without_the_shim(altered: AlteredLibrary, tell: Tell) -> None:
    seen = tell(
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
    altered: AlteredLibrary, tell: Tell
) -> None:
    altered.replace(
        "from .plugin import Plugin",
        "import os\nif os.environ.pop('BREAK', ''): raise OSError('broken')\nfrom .plugin import Plugin",
        "__init__.py",
    )
    seen = tell(
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
