"""ONENTER_DEADLOCK_FIX switches the shim off; it is read when the library arrives."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from observing import call
from programs import AlteredLibrary

Observe = Callable[..., Any]

SWITCH = "ONENTER_DEADLOCK_FIX"
FIX = ["AgentSession._update_activity", "AgentTask._AgentTask__await_impl"]


@pytest.mark.parametrize("value", ["off", "OFF", "0", "false", "No", " off "])
def test_off_leaves_everything_alone(value: str, observe: Observe) -> None:
    seen = observe(env={SWITCH: value})
    assert (seen["state"], seen["replaced"]) == ("off", [])
    effect = "onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (off)"
    assert seen["records"] == [["WARNING", f"{effect}: {seen['reason']}", False]]
    assert f"ONENTER_DEADLOCK_FIX={value}" in seen["reason"]
    assert "1.3.5 has the on_enter deadlock" in seen["reason"]


@pytest.mark.parametrize("value", ["", "on", "1", "True", "yes"])
def test_on_is_the_default_and_can_be_said(value: str, observe: Observe) -> None:
    seen = observe(env={SWITCH: value})
    assert (seen["state"], seen["replaced"], seen["records"]) == ("patched", FIX, [])


def test_unknown_value_means_on_with_a_warning(observe: Observe) -> None:
    seen = observe(env={SWITCH: "disabled"})
    assert (seen["state"], seen["replaced"]) == ("patched", FIX)
    assert "ONENTER_DEADLOCK_FIX=disabled is not a known value and means on" in seen["reason"]
    effect = "onenter-deadlock-fix is active on livekit-agents 1.3.5 (patched)"
    assert seen["records"] == [["WARNING", f"{effect}: {seen['reason']}", False]]


def test_value_set_between_the_two_imports_counts(observe: Observe) -> None:
    assert observe(before=[call("environment", **{SWITCH: "off"})])["state"] == "off"
    assert observe(before=[call("environment", **{SWITCH: "on"})], env={SWITCH: "off"})["state"] == "patched"


def test_off_on_a_release_that_needs_no_patch_says_so(altered: AlteredLibrary, observe: Observe) -> None:
    altered.set_version("1.3.6")
    seen = observe(env={**altered.env, SWITCH: "off"})
    assert (seen["state"], seen["replaced"]) == ("off", [])
    assert "1.3.6 has upstream's fix" in seen["reason"]
