"""Which mode detection is in: by the environment, by ``detect()``, by ``run --detect``, and by default."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from observing import call
from programs import AlteredLibrary

Observe = Callable[..., Any]

DETECT, AFTER, SWITCH = "ONENTER_DEADLOCK_FIX_DETECT", "ONENTER_DEADLOCK_FIX_DETECT_AFTER", "ONENTER_DEADLOCK_FIX"

FIX = ["AgentSession._update_activity", "AgentTask._AgentTask__await_impl"]
DETECTION = ["AgentActivity.drain", "AgentActivity.pause", "AgentSession._aclose_impl", "RunResult.__await__"]


def warnings(seen: Any) -> list[str]:
    assert {level for level, *_ in seen["records"]} <= {"WARNING"}
    return [message for _, message, _ in seen["records"]]


@pytest.fixture
def fixed(altered: AlteredLibrary) -> dict[str, str]:
    """The environment of a release with the fix."""
    altered.set_version("1.8.9")
    return altered.env


def test_default_is_off_on_a_patched_release(observe: Observe) -> None:
    seen = observe()
    assert (seen["state"], seen["detection"], seen["replaced"], warnings(seen)) == ("patched", "off", FIX, [])
    assert not seen["is_imported"]


def test_default_is_off_on_a_fixed_release_and_all_is_its_own(fixed: dict[str, str], observe: Observe) -> None:
    seen = observe(env=fixed)
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("fixed-upstream", "off", [])
    assert not seen["is_imported"]


@pytest.mark.parametrize(("value", "mode"), [("on", "report"), ("resolve", "resolve")])
def test_environment_asks_for_a_mode_on_any_release(
    value: str, mode: str, fixed: dict[str, str], observe: Observe
) -> None:
    seen = observe(env={**fixed, DETECT: value, AFTER: "2.5"})
    assert (seen["state"], seen["detection"], seen["after"]) == ("fixed-upstream", mode, 2.5)
    assert (seen["replaced"], warnings(seen)) == (DETECTION, [])


def test_environment_is_read_when_the_library_arrives(observe: Observe) -> None:
    seen = observe(before=[call("environment", **{DETECT: "resolve"})])
    assert seen["detection"] == "resolve"


def test_detection_can_be_switched_off_alone(observe: Observe) -> None:
    seen = observe(env={DETECT: "off"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("patched", "off", FIX)


def test_switch_of_the_shim_is_for_both_unless_a_mode_is_asked_for(observe: Observe) -> None:
    seen = observe(env={SWITCH: "off"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("off", "off", [])
    seen = observe(env={SWITCH: "off", DETECT: "report"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("off", "report", DETECTION)


def test_unknown_mode_is_a_warning_and_means_report(fixed: dict[str, str], observe: Observe) -> None:
    seen = observe(env={DETECT: "loud"})
    assert (seen["state"], seen["detection"]) == ("patched", "report")
    (warning,) = warnings(seen)
    assert seen["reason"] in warning
    assert f"{DETECT}=loud is no known mode and means report" in seen["reason"]
    seen = observe(env={**fixed, DETECT: "loud"})
    assert (seen["detection"], seen["replaced"], len(warnings(seen))) == ("report", DETECTION, 1)


def test_unknown_seconds_are_a_warning_and_the_default(observe: Observe) -> None:
    seen = observe(env={DETECT: "report", AFTER: "0.04"})
    assert (seen["detection"], seen["after"]) == ("report", 5)
    (warning,) = warnings(seen)
    assert f"{AFTER}=0.04 is no number of seconds (0.05 or more) and means 5" in warning


@pytest.mark.parametrize("when", ["before", "afterwards"])
def test_detect_wins_over_the_environment(when: str, fixed: dict[str, str], observe: Observe) -> None:
    seen = observe(**{when: [call("detect", "resolve", after=1.5)]}, env={**fixed, DETECT: "report", AFTER: "3"})
    assert (seen["detection"], seen["after"], seen["replaced"]) == ("resolve", 1.5, DETECTION)


def test_detect_without_arguments_reports_after_five_seconds(fixed: dict[str, str], observe: Observe) -> None:
    seen = observe(afterwards=[call("detect")], env=fixed)
    assert (seen["detection"], seen["after"], seen["replaced"]) == ("report", 5, DETECTION)


def test_detect_off_takes_the_wrappers_off(observe: Observe) -> None:
    seen = observe(afterwards=[call("detect", "off")], env={DETECT: "resolve"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("patched", "off", FIX)


@pytest.mark.parametrize(
    ("mode", "after", "warning"),
    [
        ("loud", 1, "detect() with mode loud is no known mode and means report (off, report, resolve)"),
        (None, 1, "detect() with mode None is no known mode and means report (off, report, resolve)"),
        ("report", "soon", "detect() with after=soon is no number of seconds (0.05 or more) and means 5"),
    ],
)
def test_detect_raises_nothing(mode: Any, after: Any, warning: str, fixed: dict[str, str], observe: Observe) -> None:
    seen = observe(afterwards=[call("detect", mode, after=after)], env=fixed)
    assert (seen["detection"], seen["after"]) == ("report", 1 if after == 1 else 5)
    assert [warning in logged for logged in warnings(seen)] == [True]


def test_deactivate_takes_all_wrappers_off_and_activate_puts_them_on_again(observe: Observe) -> None:
    seen = observe(afterwards=[call("deactivate")], env={DETECT: "resolve"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("off", "off", [])
    seen = observe(afterwards=[call("deactivate"), call("activate")], env={DETECT: "resolve"})
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("patched", "resolve", sorted([*FIX, *DETECTION]))


def test_detect_after_deactivate_is_detection_alone(observe: Observe) -> None:
    seen = observe(afterwards=[call("deactivate"), call("detect", "report")])
    assert (seen["state"], seen["detection"], seen["replaced"]) == ("off", "report", DETECTION)


def test_run_refuses_an_unknown_mode(command: Callable[..., Any]) -> None:
    ended = command("run", "--detect", "loud", "true")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: onenter-deadlock-fix run")
