"""The wait-for graph: find the nodes that can never complete. Independent of asyncio and livekit-agents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple


class Wait(NamedTuple):
    """What a node needs to complete: all nodes that it awaits (AND), or any of them (OR).

    An AND of no nodes is free, an OR of no nodes is a dead end. A wait may be a node of another wait.

    reason: why the node waits, in words; empty if that is not known.
    lock: the lock that the node waits for, if ``awaited`` are its holders.
    """

    awaited: tuple[Any, ...] = ()
    any_is_enough: bool = False
    reason: str = ""
    lock: Any = None

    def done(self) -> bool:  # as of a task or a future, because a wait may be a node, too
        return False


FREE = Wait()


def any_of(nodes: Iterable[Any], reason: str = "") -> Wait:
    return Wait(tuple(nodes), any_is_enough=True, reason=reason)


def deadlocked(waits: Mapping[Any, Wait]) -> dict[Any, Wait]:
    """Return the waits of the largest set in which no node can complete unless another node of the set does.

    A node that is not in ``waits`` is free.
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
    """Return the waits of ``starts`` and of all nodes reachable from them, nearest first, except where it is None."""
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
    entered: set[Any] = set()
    finished: dict[Any, None] = {}  # the nodes in the order in which a depth-first search leaves them
    to_do = list(waits)
    while to_do:
        node = to_do[-1]
        if node in entered:
            finished.setdefault(to_do.pop())
        else:
            entered.add(node)
            to_do += [awaited for awaited in waits[node].awaited if awaited in waits and awaited not in entered]
    waiters_of = waiters(waits)
    assigned: set[Any] = set()
    components: dict[Any, frozenset[Any]] = {}
    for node in reversed(finished):
        members = reachable([node], lambda other: None if other in assigned else Wait(tuple(waiters_of.get(other, ()))))
        assigned.update(members)
        if len(members) > 1 or not waits[node].awaited or any(other is node for other in waits[node].awaited):
            components.update(dict.fromkeys(members, frozenset(members)))
    return components


def waiters(waits: Mapping[Any, Wait]) -> dict[Any, list[Any]]:
    """Map each awaited node to the nodes that wait for it."""
    waiters_of: dict[Any, list[Any]] = {}
    for node, wait in waits.items():
        for awaited in set(wait.awaited):
            waiters_of.setdefault(awaited, []).append(node)
    return waiters_of
