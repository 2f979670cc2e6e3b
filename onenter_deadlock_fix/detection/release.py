"""Implement ``resolve``: release deadlocked speech tasks from the drain that waits for them, if that is safe."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from .labels import WaitRecord
from .livekit_edges import generations, is_queued, speech_handle, tasks_to_drain
from .livekit_internals import VOICE
from .snapshot import Snapshot
from .stack import Task


class Release(NamedTuple):
    """Speech tasks that a drain can stop waiting for."""

    waits: list[WaitRecord]  # the waits of its change that the release ends
    remaining: list[str]  # the names of what the change still waits for after the release
    activity: Any  # the activity that is drained
    speech_tasks: list[Task]  # the tasks that the drain no longer waits for after the release
    handles: list[Any]  # the speech handles of these tasks; ``on_enter()`` and ``on_exit()`` have none

    def apply(self) -> None:
        """Add the tasks to the drain's blocked tasks, complete the generation that it waits for, and wake it up."""
        activity = self.activity
        blocked = activity._drain_blocked_tasks  # on older releases, the caller's list; copied, not changed
        activity._drain_blocked_tasks = type(blocked)([*blocked, *self.speech_tasks])
        speaking = activity._current_speech
        if speaking is not None and (speaking.done() or any(task in self.speech_tasks for task in speaking._tasks)):
            for generation in generations(speaking):
                if not generation.done():
                    generation.set_result(None)
        activity._wake_up_scheduling_task()

    def interrupt_dropped(self) -> None:
        """Interrupt released speeches that will never be authorized, as livekit-agents does itself from 1.4.3 on.

        While its activity is paused, livekit-agents drops what a speech says after its tool, and never authorizes it.
        """
        for handle in self.handles:
            is_waiting = handle._scheduled_fut.done() and handle._authorize_event._waiters
            if is_waiting and not is_queued(self.activity, handle) and self.activity._current_speech is not handle:
                handle._cancel()


def find_releases(snapshot: Snapshot, task: Task) -> list[Release]:
    """Return the possible releases for the drains that a deadlocked task executes or waits for.

    A handoff to or from an AgentTask can release the speech tasks that wait for this handoff. Any drain can release
    the tasks of a speech that nothing can complete, because nothing depends on it. A task that waits for the session's
    lock is not released: before 1.7.1 its AgentTask would replace the AgentTask of this handoff.
    """
    releases = []
    for node in snapshot.reachable_from(task):
        for frame in snapshot.edges.stack(node):
            with contextlib.suppress(Exception):  # a drain that can't be read releases nothing
                if frame.function == f"{VOICE}agent_activity._pause_scheduling_task":
                    releases.append(_release_in(snapshot, node, frame.variables["self"]))
    return [release for release in releases if release.waits]


def _release_in(snapshot: Snapshot, task: Task, activity: Any) -> Release:
    """Return the release for the drain of an activity that ``task`` executes."""
    labels, awaited, speaking = snapshot.labels, tasks_to_drain(activity), activity._current_speech
    speech_tasks = [other for other in awaited if _can_release(snapshot, task, activity, other)]
    released = [labels[other].own_label for other in speech_tasks]
    if speaking is not None and speaking.done():
        released.append(labels.speech_label(speaking))
    change, name = labels[task].change_label, labels.display_name
    waits = [WaitRecord(change.role, name(change), name(label), "", "", {}) for label in dict.fromkeys(released)]
    remaining = [name(labels[other].own_label) for other in awaited if other not in speech_tasks]
    handles = [handle for other in speech_tasks if (handle := speech_handle(other)) is not None]
    return Release(waits, remaining, activity, speech_tasks, handles)


def _can_release(snapshot: Snapshot, task: Task, activity: Any, speech_task: Task) -> bool:
    """Return whether the drain of an activity that ``task`` executes can release a speech task."""
    waits, handle = snapshot.reachable_from(speech_task), speech_handle(speech_task)
    if any(wait.lock is activity.session._activity_lock for wait in waits.values()):
        return False
    is_never_scheduled = handle is not None and handle._scheduled_fut in waits
    return is_never_scheduled or (task in waits and snapshot.edges.agent_task(task) is not None)
