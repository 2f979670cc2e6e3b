"""Who is deadlocked in a wait-for graph, held against the definition on small graphs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onenter_deadlock_fix.detection.graph import Wait, causes, deadlocked, reachable

settings.register_profile("any machine", deadline=None)  # how long one takes says nothing
settings.load_profile("any machine")

Waits = dict[int, Wait]

NODES = range(6)
awaited = st.lists(st.sampled_from(NODES), max_size=3).map(tuple)  # the same one twice, too
# a node that is not in the graph is free; one that waits for any of nothing is a dead end
waits_for = st.tuples(awaited, st.booleans()).map(lambda wait: Wait(*wait))
graphs = st.dictionaries(st.sampled_from(NODES), waits_for)


def completes(node: int, waits: Mapping[int, Wait], incomplete: set[int]) -> bool:
    """Say whether a node can complete where all do but these."""
    if node not in waits:
        return True
    complete = [one not in incomplete for one in waits[node].awaited]
    return any(complete) if waits[node].any_is_enough else all(complete)


def deadlocked_by_definition(waits: Waits) -> set[int]:
    """The union of all sets none of which can complete unless another one of the set does; it is such a set itself."""
    sets = (set(some) for size in range(len(waits) + 1) for some in itertools.combinations(waits, size))
    return set().union(*(some for some in sets if not any(completes(node, waits, some) for node in some)))


def distances(start: int, waits: Waits) -> dict[int, int]:
    """Over how many waits ``start`` waits for each of the nodes that it waits for, by going every way."""
    found: dict[int, int] = {}
    ways = [[start]]
    while ways:
        ways = [[*way, one] for way in ways for one in waits[way[-1]].awaited if one in waits and one not in way[1:]]
        for way in ways:
            found.setdefault(way[-1], len(way) - 1)
    return found


@given(graphs)
def test_deadlocked_is_the_largest_set_none_of_which_completes_unless_another_does(waits: Waits) -> None:
    assert deadlocked(waits).keys() == deadlocked_by_definition(waits)


@given(graphs)
def test_deadlocked_nodes_stay_so_where_there_are_more_waits_for_all(waits: Waits) -> None:
    more = {**{node: Wait((node,)) for node in NODES}, **waits}  # what was free waits for itself
    assert deadlocked(waits).keys() <= deadlocked(more).keys()


@given(graphs, st.sampled_from(NODES))
def test_reachable_are_those_that_are_waited_for_in_the_end_the_nearest_ones_first(waits: Waits, start: int) -> None:
    found = list(reachable([start], waits.get))
    if start not in waits:
        assert found == []
        return
    far = {**distances(start, waits), start: 0}
    assert set(found) == set(far)
    assert [far[node] for node in found] == sorted(far.values())


@given(graphs)
def test_causes_are_the_cycles_and_the_dead_ends(waits: Waits) -> None:
    left = deadlocked(waits)
    behind = {node: distances(node, left) for node in left}
    expected = {
        node: frozenset({node, *(other for other in behind[node] if node in behind[other])})
        for node in left
        if node in behind[node] or not left[node].awaited
    }
    assert causes(left) == expected


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ({1: Wait((2,)), 2: Wait((1,))}, {1, 2}),
        ({1: Wait((2, 3)), 2: Wait((1,))}, {1, 2}),  # 3 is free, but 2 is needed as well
        ({1: Wait((2, 3), any_is_enough=True), 2: Wait((1,))}, set()),  # 3 is enough
        ({1: Wait((2,)), 2: Wait((), any_is_enough=True)}, {1, 2}),  # a dead end
        ({1: Wait((1,))}, {1}),
        ({1: Wait((2,)), 2: Wait((3,))}, set()),
        ({1: Wait(())}, set()),  # all of nothing
    ],
)
def test_deadlocked_in_graphs_that_can_be_read(waits: Waits, expected: set[int]) -> None:
    assert deadlocked(waits).keys() == expected
