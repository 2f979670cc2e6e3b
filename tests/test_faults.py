"""After any fault on the way to an AgentTask or back, all ends as on bare 1.3.6, and another session works."""

from __future__ import annotations

import json

import pytest
from faults import PLACES, InToolThatTriesAgain, play_faults
from programs import TESTS, Forks
from scenarios.stage import Lobby

UPSTREAM = json.loads((TESTS / "faults.json").read_text(encoding="utf-8"))
# The session can't be closed: its tool awaits a second AgentTask after the first handoff has failed half-way.
HANGS = {(InToolThatTriesAgain, "raise after 1 start")}
KINDS_THAT_RAISE = ("raise", "on_enter", "on_exit", "complete")


@pytest.mark.parametrize("place", PLACES)
def test_after_any_fault_the_session_can_be_closed_and_another_one_works(place: type[Lobby], library: Forks) -> None:
    seen = library.call(play_faults, place, "report")
    assert seen["outcomes"] == UPSTREAM[place.__name__]
    assert seen["warnings"] == []
    for fault, outcome in seen["outcomes"].items():
        assert outcome.startswith("hangs" if (place, fault) in HANGS else "completed"), fault
        assert "Desk.on_enter goes on" in outcome.rpartition("the close ")[2], fault
        if fault.startswith("cancel"):
            assert "the victim gets CancelledError" in outcome, fault
        if fault.startswith(KINDS_THAT_RAISE):
            assert "the victim gets Injected" in outcome, fault
        if fault == "none":
            assert "the victim gets Ada" in outcome
