"""Who is deadlocked in a wait-for graph, held against the definition on small graphs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onenter_deadlock_fix.detection.graph import Wait, core, deadlocked, reachable

NODES = range(6)
awaited = st.lists(st.sampled_from(NODES), max_size=3).map(tuple)
graphs = st.dictionaries(
    st.sampled_from(NODES), st.tuples(awaited, st.booleans()).map(lambda wait: Wait(*wait)), max_size=6
)


def can_complete(node: int, waits: Mapping[int, Wait], incomplete: set[int]) -> bool:
    """Say whether a node can complete where all do but these."""
    if node not in waits:
        return True
    complete = [one not in incomplete for one in waits[node].awaited]
    return any(complete) if waits[node].any_is_enough else all(complete)


def by_definition(waits: Mapping[int, Wait]) -> set[int]:
    """The union of all sets none of which can complete unless another one of the set does; it is such a set itself."""
    sets = (set(some) for size in range(len(waits) + 1) for some in itertools.combinations(waits, size))
    return set().union(*(some for some in sets if not any(can_complete(node, waits, some) for node in some)))


@given(graphs)
def test_deadlocked_is_the_largest_set_none_of_which_completes_but_by_another(waits: dict[int, Wait]) -> None:
    assert deadlocked(waits) == by_definition(waits)


@given(graphs)
def test_core_is_the_same_wherever_a_cycle_is_entered(waits: dict[int, Wait]) -> None:
    stuck = deadlocked(waits)
    for node in stuck:
        found = core(node, waits, stuck)
        assert found.keys() <= stuck
        on_a_cycle = node in reachable(waits[node].awaited, waits, stuck)
        assert (node in found) == (on_a_cycle or not waits[node].awaited)
        for other in found if on_a_cycle else ():
            if node in reachable(waits[other].awaited, waits, stuck):  # on the same cycle
                assert core(other, waits, stuck).keys() == found.keys()


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ({1: Wait((2,)), 2: Wait((1,))}, {1, 2}),
        ({1: Wait((2, 3)), 2: Wait((1,))}, {1, 2}),  # 3 is free, but 2 is needed as well
        ({1: Wait((2, 3), any_is_enough=True), 2: Wait((1,))}, set()),  # 3 is enough
        ({1: Wait((2,)), 2: Wait((), any_is_enough=True)}, {1, 2}),  # a dead end
        ({1: Wait((1,))}, {1}),
        ({1: Wait((2,)), 2: Wait((3,))}, set()),
    ],
)
def test_deadlocked_in_graphs_that_can_be_read(waits: dict[int, Wait], expected: set[int]) -> None:
    assert deadlocked(waits) == expected
