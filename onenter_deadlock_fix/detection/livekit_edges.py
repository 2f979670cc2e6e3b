"""The edges of livekit-agents: replies, drains, scheduling, AgentTasks and runs, from 1.2.0 to 2.0.0b1."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from types import FrameType
from typing import Any

from .asyncio_edges import Completion, Edges, Future, Task
from .graph import Wait
from .stack import function_of

VOICE = "livekit.agents.voice."
_INFO = "__livekit_agents_activity_task"  # as _get_activity_task_info() has it

# function -> its signature (None where it does not matter) and names that its code uses; what is relied on here
_ACTIVITY, _SESSION = "agent_activity:AgentActivity.", "agent_session:AgentSession."
FINGERPRINT: dict[str, tuple[str | None, set[str]]] = {
    "agent:AgentTask._AgentTask__await_impl": ("async (self)", {"_update_activity"}),
    "agent:_get_activity_task_info": ("(task)", {_INFO}),
    f"{_ACTIVITY}_create_speech_task": (None, {"_speech_tasks", "_tasks", "_mark_done"}),
    f"{_ACTIVITY}_pause_scheduling_task": (
        "async (self, *, blocked_tasks=None)",
        {"_scheduling_paused", "_scheduling_atask", "_wake_up_scheduling_task"},
    ),
    f"{_ACTIVITY}_schedule_speech": (None, {"_speech_q", "_mark_scheduled", "_scheduling_paused"}),
    f"{_ACTIVITY}_scheduling_task": (
        "async (self)",
        {"_q_updated", "_drain_blocked_tasks", "_speech_tasks", "_current_speech", "_wait_for_generation"},
    ),
    f"{_ACTIVITY}_wake_up_scheduling_task": ("(self)", {"_q_updated"}),
    f"{_ACTIVITY}aclose": ("async (self)", set()),
    f"{_ACTIVITY}drain": (None, {"_pause_scheduling_task"}),
    f"{_ACTIVITY}pause": (None, {"_pause_scheduling_task", "blocked_tasks"}),
    f"{_SESSION}_aclose_impl": (None, set()),
    f"{_SESSION}_update_activity": (None, {"_activity_lock"}),
    "run_result:RunResult.__await__": ("(self)", {"_done_fut"}),
    "run_result:RunResult._mark_done_if_needed": (None, {"_handles"}),
    "speech_handle:SpeechHandle.add_done_callback": (None, {"_done_callbacks"}),
    "speech_handle:SpeechHandle._mark_generation_done": ("(self)", set()),
    "speech_handle:SpeechHandle._wait_for_scheduled": ("async (self)", {"_scheduled_fut"}),
    "speech_handle:SpeechHandle.wait_for_playout": ("async (self)", {"_done_fut"}),
}

NEVER_SCHEDULED = "it was made while scheduling was paused, and nothing will schedule it"
NEVER_DONE = "its generation was never marked as done, and nothing will mark it"
ABANDONED = "for an AgentTask that no task awaits any more, and that can't become inactive"
DISPLACED = "another agent has taken its place, and no turn of the user reaches it"
PARKED = "a preemptive generation is parked, and ends only with the user's next turn"
NO_TURN = "for the user's next turn, which nobody sends meanwhile"


class LivekitEdges(Edges):
    """The waits in an event loop, those of livekit-agents included.

    no_turn: as if the user took no turn any more, so that an AgentTask is completed only by what is under way in it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, no_turn: bool = False) -> None:
        super().__init__(loop)
        self._no_turn = no_turn
        self.infos = {task: info for task in self.tasks if (info := getattr(task, _INFO, None)) is not None}
        self.handles: dict[Future, Any] = {}  # by each of the futures of a speech handle that are not done
        for handle in {id(info.speech_handle): info.speech_handle for info in self.infos.values()}.values():
            futures = (handle._done_fut, handle._scheduled_fut, *generations(handle)) if handle else ()
            self.handles.update((future, handle) for future in futures if not future.done())
        self.read_callbacks([*self.tasks, *self.handles])

    def reason(self, future: Future) -> str:
        """Return why a future that is free is not done yet, where livekit-agents knows, or else an empty text."""
        handle = self.handles.get(future)
        is_parked = handle and future is handle._scheduled_fut and _is_parked(handle, self._activity_of(handle))
        return PARKED if is_parked else ""

    def agent_task(self, task: Task) -> Any:
        """Return the AgentTask that a task awaits, or None."""
        return self._awaited.get(task, (None, None))[0]

    def callbacks(self, future: Future) -> list[Any]:
        handle = self.handles.get(future)  # has callbacks of its own, which one of its future's calls
        own = handle._done_callbacks if handle is not None and future is handle._done_fut else ()
        return [*super().callbacks(future), *own]

    def completions(self, function: str, held: dict[str, Any]) -> Iterator[Completion]:
        if function == f"{VOICE}agent_activity.AgentActivity.interrupt.<locals>.on_playout_done":
            speeches = held.get("interrupted_speeches", ())  # the current one alone on the oldest releases
            yield held["future"], self.all_of(handle._done_fut for handle in speeches)
        elif function == f"{VOICE}run_result.RunResult._mark_done_if_needed":
            handles = held["self"]._handles
            yield held["self"]._done_fut, self.all_of(getattr(handle, "_done_fut", handle) for handle in handles)
        else:
            yield from super().completions(function, held)

    def wait_in(self, frames: list[FrameType], function: str, awaited: Future) -> Wait | None:
        caller, own = (function_of(frames[-2]), frames[-2].f_locals) if len(frames) > 1 else ("", {})
        if function == "asyncio.locks.wait":  # of an Event; anybody may set one of the user's
            return self._wait_for_event(caller, own["self"]) if caller.startswith(VOICE) else None
        if function == f"{VOICE}speech_handle._wait_for_generation":
            handle = frames[-1].f_locals["self"]
            if handle.done():
                self.handles[awaited] = handle
            scheduled = drained(own["self"]) if caller == f"{VOICE}agent_activity._scheduling_task" else ()
            return self.all_of([awaited, *scheduled])
        if function == f"{VOICE}tool_executor.execute":  # for what the tool's own task sets
            return self.all_of([frames[-1].f_locals["exe_task"]])
        if function == f"{VOICE}agent.__await_impl" and super()._wait_of_future(awaited) is None:
            return self._wait_for_agent_task(frames[-1].f_locals)
        waiting = frames[-3] if function == "asyncio.tasks._wait" and len(frames) > 2 else None
        if waiting is not None and function_of(waiting) == f"{VOICE}speech_handle.wait_if_not_interrupted":
            interruption = waiting.f_locals["self"]._interrupt_fut  # which aborts the wait
            return self.any_of(future for future in frames[-1].f_locals["fs"] if future is not interruption)
        return super().wait_in(frames, function, awaited)

    def _wait_of_future(self, future: Any) -> Wait | None:
        handle = self.handles.get(future)
        if handle is None:
            return super()._wait_of_future(future)
        if getattr(handle, "_interrupt_timeout_handle", None) is not None:
            return None  # it was interrupted, and livekit-agents is about to give it up
        if future is handle._done_fut:
            return self.all_of(handle._tasks)
        if future is handle._scheduled_fut:
            activity = self._activity_of(handle)
            is_dead_end = activity._scheduling_paused and not _is_parked(handle, activity)
            return _dead_end(NEVER_SCHEDULED) if is_dead_end else None
        if handle.done() or future is not generations(handle)[-1]:
            return _dead_end(NEVER_DONE)
        tasks = [task for task in handle._tasks if not task.done()]
        return self.any_of(tasks) if tasks else None

    def _wait_for_event(self, caller: str, own: Any) -> Wait | None:
        """Return what a function of livekit-agents waits for in ``Event.wait()``, where that is known."""
        if caller == f"{VOICE}agent_activity._scheduling_task":
            return None if own._q_updated.is_set() else self.all_of(drained(own))
        if caller == f"{VOICE}agent._wait_for_inactive":
            awaiting = [task for task, (agent_task, _) in self._awaited.items() if agent_task is own]
            return self.all_of(awaiting) if awaiting else _dead_end(ABANDONED)
        if caller == f"{VOICE}speech_handle._wait_for_authorization":
            if not own._scheduled_fut.done():
                return self.all_of([own._scheduled_fut])
            activity = self._activity_of(own)
            speaking = activity._current_speech
            if speaking not in (None, own) and any(handle is own for *_, handle in activity._speech_q):
                return self.all_of(generations(speaking)[-1:])
        return None

    def _wait_for_agent_task(self, variables: dict[str, Any]) -> Wait | None:
        """Return what an AgentTask needs to complete; ``variables`` are those of the await of it."""
        agent_task, session = variables["self"], variables["session"]
        if session._activity is None or session._activity_lock.locked():
            return None  # the session is closed, or the agent is being changed
        before = {id(agent): old_agent for agent, old_agent in self._awaited.values()}
        agent = session._activity.agent
        while agent is not agent_task and id(agent) in before:
            agent = before[id(agent)]
        if agent is not agent_task:
            return _dead_end(DISPLACED)
        activity = object.__getattribute__(agent_task, "_activity")  # its class is the user's
        tasks = [task for task in activity._speech_tasks if not task.done()]
        return (self.any_of(tasks) if tasks else _dead_end(NO_TURN)) if self._no_turn else None

    @functools.cached_property
    def _awaited(self) -> dict[Task, tuple[Any, Any]]:
        """The AgentTasks that tasks await, each with the agent whose place it has taken."""
        inline_tasks = ((task, self.frames(task)) for task, info in self.infos.items() if info.inline_task)
        frames = {task: frame for task, frames in inline_tasks for frame in frames if _awaits_agent_task(frame)}
        return {task: (frame.f_locals["self"], frame.f_locals.get("old_agent")) for task, frame in frames.items()}

    def _activity_of(self, handle: Any) -> Any:
        """Return the activity that has made a speech handle."""
        frames = (frame for task in handle._tasks if task in self.tasks for frame in self.frames(task))
        in_activity = (frame for frame in frames if function_of(frame).startswith(f"{VOICE}agent_activity."))
        return next(frame.f_locals["self"] for frame in in_activity if "self" in frame.f_code.co_varnames)


def drained(activity: Any) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, as its ``_scheduling_task()`` works them out."""
    blocked = list(activity._drain_blocked_tasks)
    handles = [handle for task in blocked if (handle := _speech_handle(task)) is not None]
    awaited = activity._speech_tasks if activity._scheduling_paused else ()
    return [task for task in awaited if not task.done() and task not in blocked and _speech_handle(task) not in handles]


def _speech_handle(task: Task) -> Any:
    return getattr(getattr(task, _INFO, None), "speech_handle", None)


def generations(handle: Any) -> list[Future]:
    """Return the futures that are done when a generation of a speech has been said; 1.2.0 has the last one only."""
    found: list[Future] = handle._generations if hasattr(handle, "_generations") else [handle._generation_fut]
    return found


def _is_parked(handle: Any, activity: Any) -> bool:
    parked = activity._preemptive_generation
    return parked is not None and parked.speech_handle is handle


def _awaits_agent_task(frame: FrameType) -> bool:
    return function_of(frame) == f"{VOICE}agent.__await_impl"


def _dead_end(reason: str) -> Wait:
    return Wait((), any_is_enough=True, reason=reason)
