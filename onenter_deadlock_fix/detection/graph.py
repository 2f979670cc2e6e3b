"""The wait-for graph: who can never complete. Knows neither asyncio nor livekit-agents; the words are the package's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple


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


def deadlocked(waits: Mapping[Any, Wait]) -> dict[Any, Wait]:
    """Return the largest set of nodes none of which can complete unless another of the set does, with their waits.

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
    return {node: waits[node] for node in waits.keys() - set(complete)}


def reachable(starts: Iterable[Any], wait_of: Callable[[Any], Wait | None]) -> dict[Any, Wait]:
    """Return the waits of ``starts`` and of all that these wait for, the nearest ones first.

    A node of which ``wait_of`` returns None is left out.
    """
    found: dict[Any, Wait] = {}
    to_do = list(starts)
    for node in to_do:
        if node not in found and (wait := wait_of(node)) is not None:
            found[node] = wait
            to_do += wait.awaited
    return found


def core(start: Any, waits: Mapping[Any, Wait]) -> dict[Any, Wait]:
    """Return what keeps a node from completing, all of ``waits`` being deadlocked, with their waits.

    That is the nearest cycle or dead end, and what that waits for. It is the same from wherever only that can be
    reached, and ``start`` is in it where it is on the cycle itself.
    """
    for node, wait in reachable([start], waits.get).items():
        behind = reachable(wait.awaited, waits.get)
        if node in behind or not wait.awaited:
            return {node: wait, **behind}
    raise ValueError(f"{start} is not deadlocked")
