"""``python -m soak --sessions N --handoffs M``: N sessions at once in one event loop, M handoffs in each."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

from recorder import record

import onenter_deadlock_fix

from .conversation import Conversation
from .report import environment, parser, report

SHIM = Path(onenter_deadlock_fix.__file__).parent
HEADER = object.__sizeof__(object())  # in bytes; whatever is kept per handoff takes at least as much


async def play_round(sessions: int, handoffs: int, patience: float) -> dict[str, Any]:
    """Play a round and return what came of it. It has ended when nothing has moved for ``patience`` seconds."""
    recorder = record()
    conversations = [Conversation(handoffs) for _ in range(sessions)]
    await asyncio.gather(*(conversation.start() for conversation in conversations))
    over = asyncio.gather(*(conversation.over.wait() for conversation in conversations))
    done = -1
    while not over.done() and done < (done := sum(conversation.done for conversation in conversations)):
        await asyncio.wait([over], timeout=patience)
    stuck = sum(not conversation.over.is_set() for conversation in conversations)
    over.cancel()
    await asyncio.wait([over])

    gc.collect()
    alive_before_close = Counter(kind for conversation in conversations for kind in conversation.seen.alive())
    closing = asyncio.gather(*(conversation.session.aclose() for conversation in conversations))
    closed = not (await asyncio.wait([closing], timeout=patience))[1]
    seen = [conversation.seen for conversation in conversations]
    done = sum(conversation.done for conversation in conversations)
    del conversations, over, closing
    await asyncio.sleep(0.5)  # for done callbacks, and the last tick of detection
    gc.collect()
    recorder.stop()
    return {
        "handoffs": done,
        "stuck": stuck,
        "closed": closed,
        "alive before close": dict(alive_before_close),
        "alive": dict(Counter(kind for each in seen for kind in each.alive())),
        "tasks left": sorted(map(repr, asyncio.all_tasks() - {asyncio.current_task()})),
        "logged": [message for _, message in recorder.messages()],
    }


def traced() -> tuple[int, int]:
    """Return the traced memory in bytes that is in use: all of it, and what the shim's own lines have allocated."""
    gc.collect()
    snapshot = tracemalloc.take_snapshot()
    of_the_shim = snapshot.filter_traces(
        [tracemalloc.Filter(True, str(SHIM / "*")), tracemalloc.Filter(False, str(SHIM / "verify" / "*"))]
    )
    return sum(trace.size for trace in snapshot.traces), sum(trace.size for trace in of_the_shim.traces)


async def soak(sessions: int, handoffs: int, rounds: int, patience: float, trace: bool) -> dict[str, Any]:
    """Play some rounds and return what came of them.

    With ``trace``, the growth is how much more traced memory is in use at the end of a round than at the end of the
    one before it, in bytes: the least of all rounds, since a table that is enlarged once is no leak.
    """
    if trace:
        tracemalloc.start()
    began = time.perf_counter()
    outcomes, in_use = [], []
    for _ in range(rounds):
        outcomes.append(await play_round(sessions, handoffs, patience))
        if trace:
            in_use.append(traced())
    seconds = time.perf_counter() - began
    result = {
        **environment(),
        "sessions": sessions,
        "handoffs": handoffs,
        "rounds": outcomes,
        "seconds": round(seconds, 1),
    }
    if trace:
        tracemalloc.stop()
        result["growth"], result["growth by the shim"] = (
            min(after - before for before, after in zip(each, each[1:])) for each in zip(*in_use)
        )
    return result


def worse(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return in what the outcome is worse."""
    found = []
    for number, (our_round, their_round) in enumerate(zip(ours["rounds"], theirs["rounds"])):
        for name in our_round:
            if our_round[name] != their_round[name]:
                found.append(f"round {number}: {name} is {our_round[name]}, not {their_round[name]}")
    more = ours.get("growth", 0) - theirs.get("growth", 0)
    if "growth" in ours and more >= HEADER * handoffs_in_a_round(ours):
        found.append(f"grows by {more} bytes more")
    return found


def handoffs_in_a_round(result: dict[str, Any]) -> int:
    """Return how many handoffs lie between two measurements of memory."""
    return min(each["handoffs"] for each in result["rounds"])


def main() -> int:
    arguments = parser("python -m soak", __doc__)
    arguments.add_argument("--sessions", type=int, default=100)
    arguments.add_argument("--handoffs", type=int, default=100)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--patience", type=float, default=30, help="seconds without a handoff that count as stuck")
    arguments.add_argument("--trace", action="store_true", help="measure the growth of memory from round to round")
    asked = arguments.parse_args()
    result = asyncio.run(soak(asked.sessions, asked.handoffs, asked.rounds, asked.patience, asked.trace))
    return report(result, asked.no_worse_than, worse)


if __name__ == "__main__":
    sys.exit(main())
