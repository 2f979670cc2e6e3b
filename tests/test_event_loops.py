"""Detection sees the same in event loops that are not as asyncio makes them, and in each of several at once."""

from __future__ import annotations

import sys
from typing import Any, Callable

import pytest
from detection_programs import deadlocks, event_loops

Play = Callable[..., Any]
Program = Callable[..., Any]

IS_OLDER = pytest.mark.skipif(sys.version_info >= (3, 14), reason="nest_asyncio is older than this Python")
KINDS = [
    "asyncio",
    "debug",
    pytest.param("nested", marks=IS_OLDER),
    pytest.param("uvloop", marks=pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop")),
    pytest.param("eager", marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")),
]


def levels(seen: Any) -> list[str]:
    return [record["level"] for record in seen["records"]]


@pytest.mark.parametrize("kind", KINDS)
def test_deadlock_is_reported_in_any_event_loop(kind: str, play: Play) -> None:
    seen = play(deadlocks.nested, "report", loop=kind)
    assert (seen["over"], levels(seen), len(seen["cycle"])) == (False, ["ERROR"], 5)


@pytest.mark.parametrize("kind", KINDS)
def test_deadlock_is_let_go_in_any_event_loop(kind: str, play: Play) -> None:
    seen = play(deadlocks.nested, "resolve", loop=kind)
    assert (seen["over"], levels(seen)) == (True, ["ERROR", "WARNING"])


@pytest.mark.parametrize("kind", KINDS)
def test_wait_is_no_deadlock_in_any_event_loop(kind: str, play: Play) -> None:
    seen = play(deadlocks.slow, "resolve", loop=kind)
    assert (seen["over"], levels(seen)) == (True, ["WARNING"])


@IS_OLDER
@pytest.mark.parametrize("program", [event_loops.nest_asyncio_is_applied_meanwhile, event_loops.runs_in_a_run])
def test_deadlock_is_reported_where_loops_are_nested(program: Program, play: Play) -> None:
    loop = "nested" if program is event_loops.runs_in_a_run else "virtual"
    seen = play(program, "report", loop=loop)
    assert (levels(seen), seen["errors"]) == (["ERROR"], [])
    assert seen["records"][0]["message"].startswith("deadlock: the handoff to Name waits for itself\n")


@pytest.mark.parametrize("first", ["quick", "nested"])
def test_event_loop_that_cannot_be_watched_changes_nothing_for_others_and_the_status_says_so(
    first: str, play: Play
) -> None:
    seen = play(event_loops.one_that_cannot_be_watched, "report", first=first)
    error, deadlock = seen["records"]
    assert error["message"] == "changes of an agent can't be watched in this event loop"
    assert deadlock["message"].startswith("deadlock: the handoff to Name waits for itself\n")
    assert seen["detection"] == "report"
    assert "changes can't be watched in 1 event loop(s) of this process" in seen["result"]


def test_event_loops_of_several_threads_are_each_looked_at(play: Play) -> None:
    seen = play(event_loops.one_each_in_two_threads, "report", loop="asyncio")
    assert (seen["over"], levels(seen)) == (True, ["ERROR", "ERROR"])
