"""A drain that takes its time: whether it ever ends, and whom a hand-over can let go."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Hashable, Iterator, Mapping

from livekit.agents.voice.agent_activity import AgentActivity

from . import report
from .describe import Waiter, explain, explain_all, name_of_change, who_is_in
from .graph import Future, Graph, Task, Wait, drained
from .stack import drain_of, function_of

_ACTIVITY = "livekit.agents.voice.agent_activity."


def look_at(graph: Graph, task: Task, logged: set[Hashable], *, waited: float, resolve: bool) -> None:
    """Log whom a task waits for in a drain, and let a hand-over go on that waits for itself, where ``resolve`` says so.

    ``logged`` keeps what has been logged of the drains of this event loop; ``waited`` is in seconds.
    """
    drain = weakref.ref(drain_of(task))
    name = name_of_change(graph, task)
    stuck = graph.stuck([task])
    activity = _paused_activity(graph, task)
    circles = list(_circles(graph, task, activity, stuck)) if task in stuck else []
    if not circles and (task not in stuck or _is_looked_at_elsewhere(graph, task, stuck)):
        if ("slow", drain) not in logged:
            logged.add(("slow", drain))
            report.slow(name, waited, explain_all(graph, task))
        return

    speech_tasks = _to_let_go(graph, task, activity, circles, stuck) if activity else []
    each = [explain(graph, circle) for circle in circles]
    explained = _explained(graph, circles, each)
    if activity and speech_tasks and resolve:  # before anything is logged: a handler of the program's may raise
        blocked = activity._drain_blocked_tasks  # a list on older releases, which is the caller's
        activity._drain_blocked_tasks = type(blocked)([*blocked, *speech_tasks])
        activity._wake_up_scheduling_task()
    for key, waiters in explained.items() or [(drain, explain_all(graph, task))]:
        if key not in logged:
            logged.add(key)
            can_let_go = bool(speech_tasks) and not resolve
            report.deadlock(name, waiters, circles=each, can_let_go=can_let_go)
    if speech_tasks and resolve:
        report.let_go(name, [waiter for waiters in explained.values() for waiter in waiters if waiter.name == name])


def _paused_activity(graph: Graph, task: Task) -> AgentActivity | None:
    """Return the activity whose speech tasks a task waits for, or None where its drain has not come to that yet."""
    for frame in graph.frames(task):
        if function_of(frame) == f"{_ACTIVITY}_pause_scheduling_task":
            activity: AgentActivity = frame.f_locals["self"]
            return activity
    return None


def _circles(
    graph: Graph, task: Task, activity: AgentActivity | None, stuck: Mapping[Future, Wait]
) -> Iterator[list[Future]]:
    """Yield a circle for each of those that a drain waits for and that wait for the drain."""
    for awaited in drained(activity) if activity else stuck[task].awaited:
        path = graph.path(awaited, task, stuck) if awaited in stuck else []
        if path:
            yield [task, *path[:-1]]


def _is_looked_at_elsewhere(graph: Graph, task: Task, stuck: Mapping[Future, Wait]) -> bool:
    """Say whether there is another drain on the circle that one waits for which is on no circle itself."""
    circles = (graph.circle(future, stuck) for future in graph.reachable([task], stuck))
    circle = next(filter(None, circles), [])
    tasks = [future for future in circle if isinstance(future, asyncio.Task)]
    return any(drain_of(task) for task in tasks)


def _explained(graph: Graph, circles: list[list[Future]], each: list[list[Waiter]]) -> dict[Hashable, list[Waiter]]:
    """Return ``each`` of the circles in words; one that only makes a detour on the way of another is added to that.

    By keys that are the same for whichever of its drains a circle is found from.
    """
    found: dict[frozenset[Future], dict[Waiter, None]] = {}
    for circle, waiters in sorted(zip(circles, each), key=lambda pair: len(pair[0])):
        shorter = next((shorter for shorter in found if shorter <= set(circle)), frozenset(circle))
        found.setdefault(shorter, {}).update(dict.fromkeys(waiters))
    return {who_is_in(graph, circle): list(waiters) for circle, waiters in found.items()}


def _to_let_go(
    graph: Graph, task: Task, activity: AgentActivity, circles: list[list[Future]], stuck: Mapping[Future, Wait]
) -> list[Task]:
    """Return the speech tasks without which a hand-over to an AgentTask would go on; none in any other drain.

    None either where one of them waits for the session's lock: others wait there to hand over too, and on releases
    before 1.7.1 the one that comes second would make the first one's AgentTask get lost.
    """
    is_handoff = any(function_of(frame) == f"{_ACTIVITY}pause" for frame in graph.frames(task))
    speech_tasks = [speech_task for speech_task in drained(activity) if speech_task in stuck]
    if not is_handoff or graph.awaited_agent_task(task) is None or len(circles) < len(speech_tasks):
        return []
    lock = activity.session._activity_lock
    reached = graph.reachable(speech_tasks, stuck, without=task)
    return [] if any(stuck[future].lock is lock for future in reached) else speech_tasks
