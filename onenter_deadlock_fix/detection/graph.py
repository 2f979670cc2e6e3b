"""The wait-for graph: who can never complete. Knows neither asyncio nor livekit-agents; the words are the package's."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple


class Wait(NamedTuple):
    """What a node needs to complete: all that it awaits (AND), or any of it (OR).

    So an AND of nothing is free, and an OR of nothing is a dead end.

    reason: in words, why a free node or a dead end waits.
    lock: what the node waits for, where ``awaited`` are those who hold it.
    """

    awaited: tuple[Any, ...] = ()
    any_is_enough: bool = False
    reason: str = ""
    lock: Any = None


FREE = Wait()


def deadlocked(waits: Mapping[Any, Wait]) -> set[Any]:
    """Return the largest set of nodes none of which can complete unless another of the set does.

    A node that is not in ``waits`` is free. The free ones are taken away, then those that they make free, and so on.
    """
    waiters: dict[Any, list[Any]] = {}
    missing: dict[Any, int] = {}  # how many of those that a node awaits have to complete before it does
    for node, wait in waits.items():
        missing[node] = 1 if wait.any_is_enough else len(set(wait.awaited))
        for one in set(wait.awaited):
            waiters.setdefault(one, []).append(node)
    complete = [node for node in {*waiters, *waits} if not missing.get(node)]
    for node in complete:
        for waiter in waiters.get(node, ()):
            missing[waiter] -= 1
            if missing[waiter] == 0:
                complete.append(waiter)
    return set(waits) - set(complete)


def reachable(starts: Iterable[Any], waits: Mapping[Any, Wait], among: Container[Any]) -> dict[Any, None]:
    """Return the nodes of ``among`` that ``starts`` wait for, they included, the nearest ones first."""
    found = dict.fromkeys(start for start in starts if start in among)
    to_do = list(found)
    for node in to_do:
        new = dict.fromkeys(one for one in waits[node].awaited if one in among and one not in found)
        found.update(new)
        to_do += new
    return found


def core(start: Any, waits: Mapping[Any, Wait], among: Container[Any]) -> dict[Any, None]:
    """Return what keeps a deadlocked node from completing: the nearest cycle or dead end, and what that waits for.

    It is the same from wherever only that can be reached, and ``start`` is in it where it is on the cycle itself.
    """
    for node in reachable([start], waits, among):
        behind = reachable(waits[node].awaited, waits, among)
        if node in behind or not waits[node].awaited:
            return {node: None, **behind}
    raise ValueError(f"{start} is not deadlocked")
