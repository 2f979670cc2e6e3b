"""Who is deadlocked in a wait-for graph, compared with the definition on small graphs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from hypothesis import example, given, settings
from hypothesis import strategies as st

from onenter_deadlock_fix.detection.graph import Wait, causes, deadlocked, reachable

settings.register_profile("any machine", deadline=None)  # a slow machine is no failure
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


@given(graphs)
@example({1: Wait((2, 3)), 2: Wait((1,))}).via("3 is free, but 2 is needed as well")
@example({1: Wait((2, 3), any_is_enough=True), 2: Wait((1,))}).via("3 is enough")
@example({1: Wait((2,)), 2: Wait((), any_is_enough=True)}).via("a dead end")
@example({1: Wait(())}).via("all of nothing")
def test_deadlocked_is_the_largest_set_none_of_which_completes_unless_another_does(waits: Waits) -> None:
    assert deadlocked(waits).keys() == deadlocked_by_definition(waits)


@given(graphs)
def test_causes_are_the_cycles_and_the_dead_ends(waits: Waits) -> None:
    left = deadlocked(waits)
    behind = {node: reachable(left[node].awaited, left.get) for node in left}
    expected = {
        node: frozenset({node, *(other for other in behind[node] if node in behind[other])})
        for node in left
        if node in behind[node] or not left[node].awaited
    }
    assert causes(left) == expected
