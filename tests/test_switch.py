"""ONENTER_DEADLOCK_FIX switches the shim off; it is read when the library arrives."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from programs import AlteredLibrary

Tell = Callable[..., Any]

STATE = """
import json, logging, os, types
import onenter_deadlock_fix

warnings = []
class Keep(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())
logging.getLogger("onenter_deadlock_fix").addHandler(Keep(logging.WARNING))

os.environ.update(LATER)
from livekit.agents.voice.agent import AgentTask
from livekit.agents.voice.agent_session import AgentSession
functions = [vars(AgentTask)["_AgentTask__await_impl"], vars(AgentSession)["_update_activity"]]
plain = [type(function) is types.FunctionType for function in functions]
status = onenter_deadlock_fix.status()
print(json.dumps({"state": status.state, "reason": status.reason, "plain": plain, "warnings": warnings}))
"""


def source(**later: str) -> str:
    return f"LATER = {later!r}\n{STATE}"


@pytest.mark.parametrize("value", ["off", "OFF", "0", "false", "No", " off "])
def test_off_leaves_everything_alone(value: str, tell: Tell) -> None:
    seen = tell(source(), env={"ONENTER_DEADLOCK_FIX": value})
    assert (seen["state"], seen["plain"]) == ("off", [True, True])
    effect = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (off)"
    assert seen["warnings"] == [f"{effect}: {seen['reason']}"]
    assert f"ONENTER_DEADLOCK_FIX={value}" in seen["reason"]
    assert "1.3.5 has the on_enter deadlock" in seen["reason"]


@pytest.mark.parametrize("value", ["", "on", "1", "True", "yes"])
def test_on_is_the_default_and_can_be_said(value: str, tell: Tell) -> None:
    seen = tell(source(), env={"ONENTER_DEADLOCK_FIX": value})
    assert (seen["state"], seen["plain"], seen["warnings"]) == ("patched", [False, False], [])


def test_unknown_value_means_on_with_a_warning(tell: Tell) -> None:
    seen = tell(source(), env={"ONENTER_DEADLOCK_FIX": "disabled"})
    assert (seen["state"], seen["plain"]) == ("patched", [False, False])
    assert "ONENTER_DEADLOCK_FIX=disabled is not a known value and means on" in seen["reason"]
    effect = "onenter-deadlock-fix is active on livekit-agents 1.3.5 (patched)"
    assert seen["warnings"] == [f"{effect}: {seen['reason']}"]


def test_value_set_between_the_two_imports_counts(tell: Tell) -> None:
    assert tell(source(ONENTER_DEADLOCK_FIX="off"))["state"] == "off"
    assert tell(source(ONENTER_DEADLOCK_FIX="on"), env={"ONENTER_DEADLOCK_FIX": "off"})["state"] == "patched"


def test_off_on_a_release_that_needs_no_patch_says_so(altered: AlteredLibrary, tell: Tell) -> None:
    altered.set_version("1.3.6")
    seen = tell(source(), env={**altered.env, "ONENTER_DEADLOCK_FIX": "off"})
    assert (seen["state"], seen["plain"]) == ("off", [True, True])
    assert "1.3.6 has upstream's fix" in seen["reason"]
