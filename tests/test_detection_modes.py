"""Which mode detection is in: by the environment, by ``detect()``, by ``run --detect``, and by default."""

from __future__ import annotations

import json
import sys
from typing import Any, Callable

import pytest
from programs import AlteredLibrary

Tell = Callable[..., Any]
Command = Callable[..., Any]

DETECT, AFTER, SWITCH = "ONENTER_DEADLOCK_FIX_DETECT", "ONENTER_DEADLOCK_FIX_DETECT_AFTER", "ONENTER_DEADLOCK_FIX"

# What a program sees that imports the shim, calls BEFORE, imports the library and calls AFTERWARDS: the last status,
# which functions are not the library's own, after how many seconds drains are looked at, and the warnings.
OBSERVE = """
import builtins, json, logging
made = {}
build_class = builtins.__build_class__
def noting(body, name, /, *args, **kwargs):
    cls = build_class(body, name, *args, **kwargs)
    if body.__module__.startswith("livekit.agents.voice."):
        made.update({(cls, name): value for name, value in list(vars(cls).items()) if callable(value)})
    return cls

warnings = []
class Keep(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())
logging.getLogger("onenter_deadlock_fix").addHandler(Keep(logging.WARNING))

import onenter_deadlock_fix as shim
BEFORE
builtins.__build_class__ = noting
import livekit.agents
builtins.__build_class__ = build_class
status = shim.status()
AFTERWARDS
others = sorted(f"{cls.__name__}.{name}" for (cls, name), own in made.items() if vars(cls)[name] is not own)
import sys
detector = sys.modules.get("onenter_deadlock_fix.detection.watch")
print(json.dumps({"state": status.state, "detection": status.detection, "reason": status.reason, "others": others,
                  "after": detector and detector._request and detector._request.after, "warnings": warnings}))
"""
FIX = ["AgentSession._update_activity", "AgentTask._AgentTask__await_impl"]
DETECTION = ["AgentActivity.drain", "AgentActivity.pause", "AgentSession._aclose_impl", "RunResult.__await__"]


def observe(before: str = "", afterwards: str = "") -> str:
    return OBSERVE.replace("BEFORE", before).replace("AFTERWARDS", afterwards)


@pytest.fixture
def fixed(altered: AlteredLibrary) -> dict[str, str]:
    """The environment of a release with the fix."""
    altered.set_version("1.8.9")
    return altered.env


def test_default_is_off_on_a_patched_release(tell: Tell) -> None:
    seen = tell(observe())
    assert (seen["state"], seen["detection"], seen["others"], seen["warnings"]) == ("patched", "off", FIX, [])
    assert seen["after"] is None  # not even imported


def test_default_is_off_on_a_fixed_release_and_every_function_is_its_own(fixed: dict[str, str], tell: Tell) -> None:
    seen = tell(observe(), env=fixed)
    assert (seen["state"], seen["detection"], seen["others"]) == ("fixed-upstream", "off", [])
    assert seen["after"] is None  # not even imported


@pytest.mark.parametrize(("value", "mode"), [("report", "report"), ("resolve", "resolve"), (" Resolve ", "resolve")])
def test_environment_asks_for_a_mode_on_any_release(value: str, mode: str, fixed: dict[str, str], tell: Tell) -> None:
    seen = tell(observe(), env={**fixed, DETECT: value, AFTER: "2.5"})
    assert (seen["state"], seen["detection"], seen["after"]) == ("fixed-upstream", mode, 2.5)
    assert (seen["others"], seen["warnings"]) == (DETECTION, [])


def test_environment_is_read_when_the_library_arrives(tell: Tell) -> None:
    seen = tell(observe(before=f"import os; os.environ['{DETECT}'] = 'resolve'"))
    assert seen["detection"] == "resolve"


@pytest.mark.parametrize("value", ["off", "OFF", "0"])
def test_detection_can_be_switched_off_alone(value: str, tell: Tell) -> None:
    seen = tell(observe(), env={DETECT: value})
    assert (seen["state"], seen["detection"], seen["others"]) == ("patched", "off", FIX)


def test_switch_of_the_shim_is_for_both_unless_a_mode_is_asked_for(tell: Tell) -> None:
    seen = tell(observe(), env={SWITCH: "off"})
    assert (seen["state"], seen["detection"], seen["others"]) == ("off", "off", [])
    seen = tell(observe(), env={SWITCH: "off", DETECT: "report"})
    assert (seen["state"], seen["detection"], seen["others"]) == ("off", "report", DETECTION)


def test_unknown_mode_is_a_warning_and_means_report(fixed: dict[str, str], tell: Tell) -> None:
    seen = tell(observe(), env={DETECT: "loud"})
    assert (seen["state"], seen["detection"]) == ("patched", "report")
    (warning,) = seen["warnings"]
    assert seen["reason"] in warning
    assert f"{DETECT}=loud is no known mode and means report" in seen["reason"]
    seen = tell(observe(), env={**fixed, DETECT: "loud"})
    assert (seen["detection"], seen["others"], len(seen["warnings"])) == ("report", DETECTION, 1)


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "0.04", "nan", "inf"])
def test_unknown_seconds_are_a_warning_and_the_default(seconds: str, tell: Tell) -> None:
    seen = tell(observe(), env={DETECT: "report", AFTER: seconds})
    assert (seen["detection"], seen["after"]) == ("report", 5)
    (warning,) = seen["warnings"]
    assert f"{AFTER}={seconds} is no number of seconds (0.05 or more) and means 5" in warning


@pytest.mark.parametrize("when", ["before", "afterwards"])
def test_detect_wins_over_the_environment(when: str, fixed: dict[str, str], tell: Tell) -> None:
    call = "shim.detect('resolve', after=1.5); status = shim.status()"
    seen = tell(observe(**{when: call}), env={**fixed, DETECT: "report", AFTER: "3"})
    assert (seen["detection"], seen["after"], seen["others"]) == ("resolve", 1.5, DETECTION)


def test_detect_without_arguments_reports_after_five_seconds(fixed: dict[str, str], tell: Tell) -> None:
    seen = tell(observe(afterwards="status = shim.detect()"), env=fixed)
    assert (seen["detection"], seen["after"], seen["others"]) == ("report", 5, DETECTION)


def test_detect_off_takes_the_wrappers_off(tell: Tell) -> None:
    seen = tell(observe(afterwards="status = shim.detect('off')"), env={DETECT: "resolve"})
    assert (seen["state"], seen["detection"], seen["others"]) == ("patched", "off", FIX)


@pytest.mark.parametrize(
    ("call", "warning"),
    [
        ("shim.detect('loud')", "detect() with mode loud is no known mode and means report (off, report, resolve)"),
        ("shim.detect(None)", "detect() with mode None is no known mode and means report (off, report, resolve)"),
        ("shim.detect(after=-1)", "detect() with after=-1 is no number of seconds (0.05 or more) and means 5"),
        ("shim.detect(after='soon')", "detect() with after=soon is no number of seconds (0.05 or more) and means 5"),
    ],
)
def test_detect_raises_nothing(call: str, warning: str, fixed: dict[str, str], tell: Tell) -> None:
    seen = tell(observe(afterwards=f"status = {call}"), env=fixed)
    assert (seen["detection"], seen["after"]) == ("report", 5)
    assert [warning in logged for logged in seen["warnings"]] == [True]


def test_deactivate_takes_all_wrappers_off_and_activate_puts_them_on_again(tell: Tell) -> None:
    seen = tell(observe(afterwards="status = shim.deactivate()"), env={DETECT: "resolve"})
    assert (seen["state"], seen["detection"], seen["others"]) == ("off", "off", [])
    seen = tell(observe(afterwards="shim.deactivate(); status = shim.activate()"), env={DETECT: "resolve"})
    assert (seen["state"], seen["detection"], seen["others"]) == ("patched", "resolve", sorted([*FIX, *DETECTION]))


def test_detect_after_deactivate_is_detection_alone(tell: Tell) -> None:
    seen = tell(observe(afterwards="shim.deactivate(); status = shim.detect('report')"))
    assert (seen["state"], seen["detection"], seen["others"]) == ("off", "report", DETECTION)


def test_status_command_tells_the_mode(command: Command) -> None:
    assert "; detection: off (" in command("status").stdout
    told = command("status", "--json", env={DETECT: "resolve"}).stdout
    assert json.loads(told)["detection"] == "resolve"


ENVIRONMENT = f"import os; print([os.environ.get(name) for name in ('{DETECT}', '{AFTER}')])"


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ([], [None, None]),
        (["--detect", "report"], ["report", None]),
        (["--detect=resolve", "--detect-after=0.5"], ["resolve", "0.5"]),
        (["--detect-after", "2"], [None, "2"]),
    ],
)
def test_run_asks_for_a_mode_in_all_that_the_command_starts(
    options: list[str], environment: list[str | None], command: Command
) -> None:
    ended = command("run", *options, sys.executable, "-c", ENVIRONMENT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{environment}\n", "")


@pytest.mark.parametrize("options", [["--detect", "loud"], ["--detect-after", "soon"], ["--detect-after", "0"]])
def test_run_says_what_is_no_mode_and_what_are_no_seconds(options: list[str], command: Command) -> None:
    ended = command("run", *options, "true")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: onenter-deadlock-fix run")
    assert "Traceback" not in ended.stderr
