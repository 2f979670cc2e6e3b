"""Detection is installed only where the library's code is what it is written for, or not at all."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from programs import AlteredLibrary

Observe = Callable[..., Any]

ACTIVITY = "voice/agent_activity.py"
FIX = ["AgentSession._update_activity", "AgentTask._AgentTask__await_impl"]


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
    assert seen["replaced"] == (FIX if state == "patched" else [])
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
    altered.replace(
        "class AgentActivity(RecognitionHooks):",
        "class _Sealed(type(RecognitionHooks)):\n"
        "    def __setattr__(cls, name, value):\n"
        "        if name == 'drain':\n"
        "            raise TypeError(f'{name} is sealed')\n"
        "        super().__setattr__(name, value)\n\n\n"
        "class AgentActivity(RecognitionHooks, metaclass=_Sealed):",
        ACTIVITY,
    )
    seen = observe(env={**altered.env, "ONENTER_DEADLOCK_FIX_DETECT": "report"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("patched", "unrecognised", FIX)
    assert "no detection because of an error: TypeError('drain is sealed')" in seen["reason"]
    assert [level for level, *_ in seen["records"]] == ["ERROR"]
