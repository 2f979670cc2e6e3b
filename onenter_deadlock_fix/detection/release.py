"""Release what a deadlocked change waits for, where that is safe, as ``resolve`` does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NamedTuple

from .labels import WaitRecord
from .livekit_edges import drained, generations, is_queued, speech_handle
from .livekit_internals import VOICE
from .snapshot import Snapshot
from .stack import Task


class Release(NamedTuple):
    """What a drain can release.

    waits: the waits of its change that end by that.
    remaining: the names of those that the change waits for even so.
    activity: the activity that is drained.
    speech_tasks: the tasks that the drain no longer waits for.
    handles: their speeches; ``on_enter()`` and ``on_exit()`` have none.
    """

    waits: list[WaitRecord]
    remaining: list[str]
    activity: Any
    speech_tasks: list[Task]
    handles: list[Any]

    def apply(self) -> None:
        """Have the drain work out anew what it waits for, and a generation that it waits for count as said."""
        activity = self.activity
        blocked = activity._drain_blocked_tasks  # a list on older releases, which is the caller's
        activity._drain_blocked_tasks = type(blocked)([*blocked, *self.speech_tasks])
        speaking = activity._current_speech
        if speaking is not None and (speaking.done() or any(task in self.speech_tasks for task in speaking._tasks)):
            for generation in generations(speaking):
                if not generation.done():
                    generation.set_result(None)
        activity._wake_up_scheduling_task()

    def interrupt_dropped(self) -> None:
        """Interrupt what was released and can't be said any more, as livekit-agents does itself from 1.4.3 on.

        What a speech says after its tool is dropped while its activity is paused, and nobody authorizes it later.
        """
        for handle in self.handles:
            is_waiting = handle._scheduled_fut.done() and handle._authorize_event._waiters
            if is_waiting and not is_queued(self.activity, handle) and self.activity._current_speech is not handle:
                handle._cancel()


def find_releases(snapshot: Snapshot, task: Task) -> list[Release]:
    """Return what the drains can release that a deadlocked task waits for, or is in.

    In a handoff to an AgentTask or back those are the speech tasks that wait for it. In any drain those are the tasks
    of a speech that nothing can complete, because nothing depends on it. Nothing is released that waits for the
    session's lock: before 1.7.1 the AgentTask of the second handoff would replace the first one's.
    """
    releases = []
    for node in snapshot.reachable_from(task):
        for frame in snapshot.edges.stack(node):
            with contextlib.suppress(Exception):  # what can't be read is not released
                if frame.function == f"{VOICE}agent_activity._pause_scheduling_task":
                    releases.append(_release_in(snapshot, node, frame.variables["self"]))
    return [release for release in releases if release.waits]


def _release_in(snapshot: Snapshot, task: Task, activity: Any) -> Release:
    """Return what the drain of an activity can release, in which a task waits."""
    awaited, speaking, lock = drained(activity), activity._current_speech, activity.session._activity_lock
    labels = snapshot.labels
    speech_tasks = [each for each in awaited if _can_release(snapshot, task, each, lock)]
    released = [labels.own_label(each) for each in speech_tasks]
    if speaking is not None and speaking.done():
        released.append(labels.speech_label(speaking))
    change = labels.change_label(task)
    waits = [labels.record(change, label)._replace(lines=()) for label in dict.fromkeys(released)]
    remaining = [labels.display_name(labels.own_label(each)) for each in awaited if each not in speech_tasks]
    handles = [handle for each in speech_tasks if (handle := speech_handle(each)) is not None]
    return Release(waits, list(dict.fromkeys(remaining)), activity, speech_tasks, handles)


def _can_release(snapshot: Snapshot, task: Task, speech_task: Task, lock: asyncio.Lock) -> bool:
    """Return whether the drain that a task waits in can release a speech task."""
    waits = snapshot.reachable_from(speech_task)
    if any(wait.lock is lock for wait in waits.values()):
        return False
    handle = speech_handle(speech_task)
    is_never_scheduled = handle is not None and handle._scheduled_fut in waits
    return is_never_scheduled or (task in waits and snapshot.edges.agent_task(task) is not None)
