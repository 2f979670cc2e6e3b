"""The wait-for graph: find the nodes that can never complete. Independent of asyncio and livekit-agents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple


class Wait(NamedTuple):
    """What a node needs to complete: all nodes that it awaits (AND), or any of them (OR).

    An AND of no nodes is free, an OR of no nodes is a dead end.

    reason: why the node waits, in words; empty if that is not known.
    lock: the lock that the node waits for, if ``awaited`` are its holders.
    """

    awaited: tuple[Any, ...] = ()
    any_is_enough: bool = False
    reason: str = ""
    lock: Any = None


FREE = Wait()


def deadlocked(waits: Mapping[Any, Wait]) -> dict[Any, Wait]:
    """Return the waits of the largest set in which no node can complete unless another node of the set does.

    A node that is not in ``waits`` is free. Remove the free nodes, then the nodes that this makes free, and so on.
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
    """Return the waits of ``starts`` and of all nodes reachable from them, nearest first.

    A node for which ``wait_of`` returns None is left out.
    """
    waits: dict[Any, Wait] = {}
    to_do = list(starts)
    for node in to_do:
        if node not in waits and (wait := wait_of(node)) is not None:
            waits[node] = wait
            to_do += wait.awaited
    return waits


def causes(waits: Mapping[Any, Wait]) -> dict[Any, frozenset[Any]]:
    """Map each node on a cycle to its strongly connected component, and each dead end to itself alone.

    All nodes of ``waits`` must be deadlocked. The components are found by Kosaraju's algorithm.
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
    components: dict[Any, frozenset[Any]] = {}
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
            if len(component) > 1 or not awaited or any(other is node for other in awaited):
                components.update(dict.fromkeys(component, frozenset(component)))
    return components


def waiters(waits: Mapping[Any, Wait]) -> dict[Any, list[Any]]:
    """Map each awaited node to the nodes that wait for it."""
    waiters_of: dict[Any, list[Any]] = {}
    for node, wait in waits.items():
        for awaited in set(wait.awaited):
            waiters_of.setdefault(awaited, []).append(node)
    return waiters_of
