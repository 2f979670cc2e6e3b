"""Detection is put on only where the library's code is what it is written for, or not at all."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from programs import AlteredLibrary

Observe = Callable[..., Any]

ACTIVITY, SPEECH = "voice/agent_activity.py", "voice/speech_handle.py"

FIX = ["AgentSession._update_activity", "AgentTask._AgentTask__await_impl"]


def drain_renamed(library: AlteredLibrary) -> str:
    library.replace("_pause_scheduling_task", "_halt_scheduling_task", ACTIVITY)
    return "there is no AgentActivity._pause_scheduling_task"


def drain_works_otherwise(library: AlteredLibrary) -> str:
    library.replace("_drain_blocked_tasks", "_ignored_tasks", ACTIVITY)
    return "AgentActivity._scheduling_task does not use _drain_blocked_tasks"


def wake_up_renamed(library: AlteredLibrary) -> str:
    library.replace("_wake_up_scheduling_task", "_look_again", ACTIVITY)
    return "AgentActivity._pause_scheduling_task does not use _wake_up_scheduling_task"


def speech_handle_works_otherwise(library: AlteredLibrary) -> str:
    library.replace("_done_fut", "_finished_fut", SPEECH)
    return "SpeechHandle.wait_for_playout does not use _done_fut"


@pytest.mark.parametrize(
    ("alter", "state", "fix"),
    [
        (drain_renamed, "unrecognised", []),  # the fix relies on it, too
        (drain_works_otherwise, "unrecognised", []),
        (wake_up_renamed, "patched", FIX),
        (speech_handle_works_otherwise, "patched", FIX),
    ],
)
def test_detection_leaves_other_code_alone_and_the_fix_decides_for_itself(
    alter: Callable[[AlteredLibrary], str],
    state: str,
    fix: list[str],
    altered: AlteredLibrary,
    observe: Observe,
) -> None:
    different = alter(altered)
    seen = observe(env={**altered.env, "ONENTER_DEADLOCK_FIX_DETECT": "report"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == (state, "unrecognised", fix)
    assert f"no detection: in this build {different}" in seen["reason"]
    ((level, text, _),) = seen["records"]
    assert level == "WARNING"
    assert text.endswith(f"({state}): {seen['reason']}; detection: unrecognised")


def test_fixed_release_of_another_kind_is_looked_at_only_if_asked(altered: AlteredLibrary, observe: Observe) -> None:
    altered.set_version("1.8.9")
    drain_renamed(altered)
    seen = observe(env=altered.env)
    assert (seen["state"], seen["detection"], seen["records"]) == ("fixed-upstream", "off", [])
    seen = observe(env={**altered.env, "ONENTER_DEADLOCK_FIX_DETECT": "report"})
    assert (seen["state"], seen["detection"], len(seen["records"])) == ("fixed-upstream", "unrecognised", 1)


def test_error_in_putting_detection_on_leaves_the_fix_in_place(altered: AlteredLibrary, observe: Observe) -> None:
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
