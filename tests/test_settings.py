"""What the environment and the calls of the package lead to, for the fix and for detection; and the words they know."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from observing import Call, call

from onenter_deadlock_fix.detection.config import Settings, load_settings

Observe = Callable[..., Any]

SWITCH, DETECT, AFTER = (f"ONENTER_DEADLOCK_FIX{name}" for name in ("", "_DETECT", "_DETECT_AFTER"))
FIX = ["AgentSession._update_activity", "AgentTask._AgentTask__await_impl"]
DETECTION = ["AgentActivity.drain", "AgentActivity.pause", "AgentSession._aclose_impl", "RunResult.__await__"]

DEACTIVATE, ACTIVATE, REPORT = call("deactivate"), call("activate"), call("detect", "report")
NO_MODE = "is not a known mode and means report (off, report, resolve)"
NO_SECONDS = "is not a number of seconds (0.05 or more) and means 5"


@pytest.mark.parametrize(
    ("env", "before", "afterwards", "expected"),
    [
        ({}, [], [], ("patched", "off", None)),
        ({SWITCH: "off"}, [], [ACTIVATE], ("off", "off", None)),  # which a call does not override
        ({SWITCH: "off", DETECT: "report"}, [], [], ("off", "report", 5)),
        # a variable is read when livekit-agents is imported
        ({}, [call("environment", **{DETECT: "resolve", SWITCH: "off"})], [], ("off", "resolve", 5)),
        ({SWITCH: "off"}, [call("environment", **{SWITCH: "on"})], [], ("patched", "off", None)),
        # and a call wins over it
        ({DETECT: "resolve", AFTER: "3"}, [REPORT], [], ("patched", "report", 5)),
        ({DETECT: "resolve"}, [], [call("detect", "off")], ("patched", "off", None)),
        ({DETECT: "resolve"}, [], [DEACTIVATE], ("off", "off", None)),
        ({DETECT: "resolve", AFTER: "2.5"}, [], [DEACTIVATE, ACTIVATE], ("patched", "resolve", 2.5)),
        ({}, [], [DEACTIVATE, REPORT], ("off", "report", 5)),
    ],
)
def test_settings_on_an_affected_release(
    env: dict[str, str], before: list[Call], afterwards: list[Call], expected: tuple[Any, ...], observe: Observe
) -> None:
    seen = observe(env=env, before=before, afterwards=afterwards)
    assert (seen["state"], seen["detection"], seen["after"]) == expected
    replaced = [*(FIX if "patched" in expected else []), *(DETECTION if expected[1] != "off" else [])]
    assert seen["replaced"] == sorted(replaced)
    messages = {message.partition(": ")[0] for _, message, _ in seen["records"]}
    assert messages <= {"onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (off)"}


@pytest.mark.parametrize(
    ("env", "calls", "expected", "warning"),
    [
        ({}, [], ("off", None), ""),
        ({SWITCH: "off"}, [], ("off", None), "1.8.9 has upstream's fix"),
        ({DETECT: "on", AFTER: "2.5"}, [], ("report", 2.5), ""),
        ({DETECT: "resolve"}, [], ("resolve", 5), ""),
        ({}, [call("detect")], ("report", 5), ""),
        ({DETECT: "report", AFTER: "3"}, [call("detect", "resolve", after=1.5)], ("resolve", 1.5), ""),
        ({DETECT: "loud"}, [], ("report", 5), f"{DETECT}=loud {NO_MODE}"),
        ({DETECT: "report", AFTER: "0.04"}, [], ("report", 5), f"{AFTER}=0.04 {NO_SECONDS}"),
        ({}, [call("detect", None, after=1)], ("report", 1), f"detect() with mode None {NO_MODE}"),
        ({}, [call("detect", "resolve", after="soon")], ("resolve", 5), f"detect() with after=soon {NO_SECONDS}"),
    ],
)
def test_settings_on_a_fixed_release(
    env: dict[str, str], calls: list[Call], expected: tuple[Any, ...], warning: str, altered: Any, observe: Observe
) -> None:
    altered.set_version("1.8.9")
    seen = observe(afterwards=calls, env={**altered.env, **env})
    state = "off" if SWITCH in env else "fixed-upstream"
    assert (seen["state"], (seen["detection"], seen["after"])) == (state, expected)
    assert seen["replaced"] == (DETECTION if "off" not in expected else [])
    assert warning in seen["reason"]
    assert [level for level, *_ in seen["records"]] == ["WARNING"] * (" means " in warning)


@pytest.mark.parametrize("value", ["OFF", "0", "false", " No "])
def test_shim_is_off_by_any_of_these_words(value: str, observe: Observe) -> None:
    seen = observe(env={SWITCH: value})
    assert (seen["state"], seen["replaced"]) == ("off", [])
    effect = f"onenter-deadlock-fix is NOT active on livekit-agents 1.3.5 (off): {seen['reason']}"
    assert seen["records"] == [["WARNING", effect, False]]
    assert f"ONENTER_DEADLOCK_FIX={value}" in seen["reason"]
    assert "1.3.5 has the on_enter deadlock" in seen["reason"]


def test_word_that_is_not_known_leaves_the_shim_on_with_a_warning(observe: Observe) -> None:
    seen = observe(env={SWITCH: "disabled"})
    assert (seen["state"], seen["replaced"]) == ("patched", FIX)
    assert "ONENTER_DEADLOCK_FIX=disabled is not a known value and means on" in seen["reason"]
    effect = f"onenter-deadlock-fix is active on livekit-agents 1.3.5 (patched): {seen['reason']}"
    assert seen["records"] == [["WARNING", effect, False]]
    assert observe(env={SWITCH: "True"})["records"] == []


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("report", ("report", "on", "1", "true", "yes", "YES", " Report ")),
        ("resolve", ("resolve", "Resolve")),
        ("off", ("off", "OFF", "0", "false", "no", "")),
    ],
)
def test_mode_has_these_words(mode: Any, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AFTER, "")
    for word in words:
        assert load_settings((word or "off", 2)) == Settings(mode, 2.0, ())
        monkeypatch.setenv(DETECT, word)
        assert load_settings(None) == Settings(mode, 5.0, ())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0.05", 0.05), (" 2.5 ", 2.5), ("1e3", 1000), *((value, None) for value in ("-1", "0.04", "nan", "inf", None))],
)
def test_seconds_are_a_number_from_0_05_on(value: str | None, seconds: float | None) -> None:
    warnings = [f"detect() with mode loud {NO_MODE}"]
    if not seconds:
        warnings.append(f"detect() with after={value} {NO_SECONDS}")
    assert load_settings(("loud", value)) == Settings("report", seconds or 5.0, tuple(warnings))
