"""The wait-for graph: find the nodes that can never complete. It knows neither asyncio nor livekit-agents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple


class Wait(NamedTuple):
    """What a node needs to complete: all that it awaits (AND), or any of it (OR).

    An AND of nothing is free, an OR of nothing is a dead end.

    reason: why the node waits, in words, where that is known.
    lock: the lock that the node waits for, where ``awaited`` are its holders.
    """

    awaited: tuple[Any, ...] = ()
    any_is_enough: bool = False
    reason: str = ""
    lock: Any = None


FREE = Wait()


def deadlocked(waits: Mapping[Any, Wait]) -> dict[Any, Wait]:
    """Return the largest set of nodes none of which can complete unless another of the set does, with their waits.

    A node that is not in ``waits`` is free. Remove the free nodes, then those that become free by that, and so on.
    """
    waiters_of = waiters(waits)
    # how many of the awaited nodes have to complete before the node does
    needed = {node: 1 if wait.any_is_enough else len(set(wait.awaited)) for node, wait in waits.items()}
    complete = [node for node in {*waiters_of, *waits} if not needed.get(node)]
    for node in complete:
        for waiter in waiters_of.get(node, ()):
            needed[waiter] -= 1
            if needed[waiter] == 0:
                complete.append(waiter)
    return {node: waits[node] for node in waits.keys() - set(complete)}


def reachable(starts: Iterable[Any], wait_of: Callable[[Any], Wait | None]) -> dict[Any, Wait]:
    """Return the waits of ``starts`` and of all that these wait for, the nearest ones first.

    A node of which ``wait_of`` returns None is left out.
    """
    waits: dict[Any, Wait] = {}
    to_do = list(starts)
    for node in to_do:
        if node not in waits and (wait := wait_of(node)) is not None:
            waits[node] = wait
            to_do += wait.awaited
    return waits


def causes(waits: Mapping[Any, Wait]) -> dict[Any, frozenset[Any]]:
    """Return the nodes on a cycle, each with all nodes that it waits for in circles, and the dead ends, each alone.

    All of ``waits`` must be deadlocked. These are the strongly connected components, by Kosaraju's algorithm.
    """
    finished: list[Any] = []
    entered: set[Any] = set()
    to_do = [(node, False) for node in waits]
    while to_do:
        node, is_finished = to_do.pop()
        if is_finished:
            finished.append(node)
        elif node not in entered:
            entered.add(node)
            to_do.append((node, True))
            to_do += [(awaited, False) for awaited in waits[node].awaited if awaited in waits]
    waiters_of = waiters(waits)
    found: dict[Any, frozenset[Any]] = {}
    assigned: set[Any] = set()
    for node in reversed(finished):
        if node not in assigned:
            component = [node]
            assigned.add(node)
            for member in component:
                new = [waiter for waiter in waiters_of.get(member, ()) if waiter not in assigned]
                assigned.update(new)
                component += new
            awaited = waits[node].awaited
            if len(component) > 1 or not awaited or any(each is node for each in awaited):
                found.update(dict.fromkeys(component, frozenset(component)))
    return found


def waiters(waits: Mapping[Any, Wait]) -> dict[Any, list[Any]]:
    """Return the nodes that wait for each node."""
    found: dict[Any, list[Any]] = {}
    for node, wait in waits.items():
        for awaited in set(wait.awaited):
            found.setdefault(awaited, []).append(node)
    return found
