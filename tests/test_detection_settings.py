"""The words and numbers that detection's settings are given by, and the warnings about those that are not valid."""

from __future__ import annotations

import pytest

from onenter_deadlock_fix.detection.config import Settings, load_settings

DETECT, AFTER = "ONENTER_DEADLOCK_FIX_DETECT", "ONENTER_DEADLOCK_FIX_DETECT_AFTER"
WORDS = {
    "report": ("report", "on", "1", "true", "yes", "YES", " Report "),
    "resolve": ("resolve", "Resolve"),
    "off": ("off", "OFF", "0", "false", "no"),
}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DETECT, raising=False)
    monkeypatch.delenv(AFTER, raising=False)


@pytest.mark.parametrize(("mode", "word"), [(mode, word) for mode, words in WORDS.items() for word in words])
def test_word_means_a_mode(mode: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings((word, 2)) == Settings(mode, 2.0, ())  # type: ignore[arg-type]
    monkeypatch.setenv(DETECT, word)
    assert load_settings(None) == Settings(mode, 5.0, ())  # type: ignore[arg-type]


def test_nothing_and_an_empty_variable_mean_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(None) == Settings("off", 5.0, ())
    monkeypatch.setenv(DETECT, "")
    monkeypatch.setenv(AFTER, "")
    assert load_settings(None) == Settings("off", 5.0, ())


@pytest.mark.parametrize("seconds", ["0.05", "3", " 2.5 ", "1e3"])
def test_seconds_are_what_the_number_says(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(("report", seconds)).after == float(seconds)
    monkeypatch.setenv(AFTER, seconds)
    assert load_settings(None) == Settings("off", float(seconds), ())


@pytest.mark.parametrize("word", ["loud", "2", "reports"])
def test_unknown_word_means_report_and_is_told(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    means = f"{word} is no known mode and means report (off, report, resolve)"
    assert load_settings((word, 1)) == Settings("report", 1.0, (f"detect() with mode {means}",))
    monkeypatch.setenv(DETECT, word)
    assert load_settings(None) == Settings("report", 5.0, (f"{DETECT}={means}",))


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "0.04", "nan", "inf"])
def test_what_is_no_number_of_seconds_means_five_and_is_told(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    means = f"{seconds} is no number of seconds (0.05 or more) and means 5"
    assert load_settings(("resolve", seconds)) == Settings("resolve", 5.0, (f"detect() with after={means}",))
    monkeypatch.setenv(DETECT, "report")
    monkeypatch.setenv(AFTER, seconds)
    assert load_settings(None) == Settings("report", 5.0, (f"{AFTER}={means}",))


def test_two_mistakes_are_both_told() -> None:
    assert len(load_settings((None, None)).warnings) == 2
