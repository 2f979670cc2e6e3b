"""The edges of livekit-agents: replies, drains, scheduling, AgentTasks and runs, from 1.2.0 to 2.0.0b1."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any

from .asyncio_edges import Completion, Edges, Future, Task, context_of
from .graph import Wait
from .library import INFO, VOICE
from .stack import Suspended, name_of

_WAIT_IF_NOT_INTERRUPTED = f"{VOICE}speech_handle.wait_if_not_interrupted"

NEVER_SCHEDULED = "it was made while scheduling was paused, and nothing will schedule it"
NEVER_DONE = "its generation was never marked as done, and nothing will mark it"
ABANDONED = "no task awaits the AgentTask {} any more, and it can't become inactive"
DISPLACED = " has taken its place, and no turn of the user reaches it"
GIVEN_UP = "it was interrupted, and livekit-agents is about to give it up"
PLAYED = "it is being played"
UNWATCHED = "no speech is under way that it watches, and it ends with the next one"
PARKED = "a preemptive generation is parked, and ends only with the user's next turn"
NO_TURN = "for the user's next turn, which nobody sends meanwhile"


class LivekitEdges(Edges):
    """The waits in an event loop, those of livekit-agents included.

    no_turn: as if the user took no turn any more, and only what is under way in an AgentTask could complete it. Else it
        is free, since anybody may.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, no_turn: bool = False) -> None:
        super().__init__(loop)
        self._no_turn = no_turn
        self.infos = {task: info for task in self.tasks if (info := getattr(task, INFO, None)) is not None}
        self.handles: dict[Future, Any] = {}  # by each of the futures of a speech handle that are not done
        for handle in {id(info.speech_handle): info.speech_handle for info in self.infos.values()}.values():
            futures = (handle._done_fut, handle._scheduled_fut, *generations(handle)) if handle else ()
            self.handles.update((future, handle) for future in futures if not future.done())
        self._reasons: dict[Future, str] = {}
        self.read_callbacks([*self.tasks, *self.handles])

    def reason(self, node: Any) -> str:
        """Return why a node that is free has not completed yet, where livekit-agents knows, or else an empty text."""
        info = self.infos.get(node)
        handle = info.speech_handle if info and not info.function_call else self.handles.get(node)
        with contextlib.suppress(Exception):  # what can't be read has no reason
            if _is_given_up(handle):
                return GIVEN_UP
            if node in self.tasks:
                suspended = self.stack(node)
                if suspended[-1].function == f"{VOICE}agent.__await_impl":
                    reason = self._why_no_turn(suspended[-1].variables)
                    return reason if reason.endswith(DISPLACED) else ""
                return PLAYED if any(one.function == f"{VOICE}io.wait_for_playout" for one in suspended) else ""
            if handle and node is handle._scheduled_fut and _is_parked(handle, self._activity_of(handle)):
                return PARKED
        return self._reasons.get(node, "")

    def functions(self, node: Any) -> list[str]:
        """Return the functions of livekit-agents that a task is suspended in, outermost first; none of other nodes."""
        suspended = self.stack(node) if node in self.tasks else []
        return [one.function for one in suspended if one.function.startswith(VOICE)]

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

    def wait_in(self, suspended: list[Suspended], awaited: Future) -> Wait | None:
        function, caller = suspended[-1].function, suspended[-2].function if len(suspended) > 1 else ""
        if function == "asyncio.locks.wait":  # of an Event; anybody may set one of the user's
            return self._wait_for_event(caller, suspended[-2].variables["self"]) if caller.startswith(VOICE) else None
        if function == f"{VOICE}speech_handle._wait_for_generation":
            handle = suspended[-1].variables["self"]
            if handle.done():
                self.handles[awaited] = handle
            is_scheduling = caller == f"{VOICE}agent_activity._scheduling_task"
            return self.all_of([awaited, *(drained(suspended[-2].variables["self"]) if is_scheduling else ())])
        if function == f"{VOICE}run_result._await_impl" and all(
            handle.done() for handle in suspended[-1].variables["self"]._handles
        ):
            self._reasons[awaited] = UNWATCHED
        if function == f"{VOICE}tool_executor.execute":  # for what the tool's own task sets
            return self.all_of([suspended[-1].variables["exe_task"]])
        if function == f"{VOICE}agent.__await_impl" and super()._wait_of_future(awaited) is None:
            reason = self._why_no_turn(suspended[-1].variables)
            if not (self._no_turn and reason):
                return None
            tasks = list(self._under_way_in(suspended[-1].variables["self"]))
            return self.any_of(tasks) if tasks else _dead_end(reason)
        if [one.function for one in suspended[-3::2]] == [_WAIT_IF_NOT_INTERRUPTED, "asyncio.tasks._wait"]:
            interruption = suspended[-3].variables["self"]._interrupt_fut  # which aborts the wait
            return self.any_of(one for one in suspended[-1].variables["fs"] if one is not interruption)
        return super().wait_in(suspended, awaited)

    def _wait_of_future(self, future: Any) -> Wait | None:
        handle = self.handles.get(future)
        if handle is None:
            return super()._wait_of_future(future)
        if _is_given_up(handle):
            return None
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
            return self.all_of(awaiting) if awaiting else _dead_end(ABANDONED.format(name_of(type(own))))
        if caller == f"{VOICE}speech_handle._wait_for_authorization":
            if not own._scheduled_fut.done():
                return self.all_of([own._scheduled_fut])
            activity = self._activity_of(own)
            speaking = activity._current_speech
            if speaking not in (None, own) and any(handle is own for *_, handle in activity._speech_q):
                return self.all_of(generations(speaking)[-1:])
        return None

    def _why_no_turn(self, variables: dict[str, Any]) -> str:
        """Return why no turn comes to an AgentTask if nobody sends one; ``variables`` are those of the await of it."""
        agent_task, session = variables["self"], variables["session"]
        if session._activity is None or session._activity_lock.locked():
            return ""  # the session is closed, or the agent is being changed
        before = {id(agent): old_agent for agent, old_agent in self._awaited.values()}
        agent = session._activity.agent
        while agent is not agent_task and id(agent) in before:
            agent = before.pop(id(agent))
        if agent is agent_task:
            return NO_TURN
        current = session._activity.agent
        calls = [self.infos[task].function_call for task, (awaited, _) in self._awaited.items() if awaited is current]
        tool = f" of the tool {calls[0].name}" if calls and calls[0] else ""
        return f"{name_of(type(current))}{tool}{DISPLACED}"

    def _under_way_in(self, agent_task: Any) -> Iterator[Task]:
        """Yield the tasks that were begun in an AgentTask by it or for it, and may complete it."""
        variable = sys.modules[f"{VOICE}agent_activity"]._AgentActivityContextVar
        for task in self.tasks:
            activity = context_of(task).get(variable)
            is_of_it = activity is not None and activity.agent is agent_task
            if is_of_it and (task in self.infos or not self.stack(task)[0].function.startswith("livekit.")):
                yield task

    @functools.cached_property
    def _awaited(self) -> dict[Task, tuple[Any, Any]]:
        """The AgentTasks that tasks await, each with the agent whose place it has taken."""
        return {
            task: (one.variables["self"], one.variables.get("old_agent"))
            for task, info in self.infos.items()
            for one in (self.stack(task) if info.inline_task else ())
            if one.function == f"{VOICE}agent.__await_impl"
        }

    def _activity_of(self, handle: Any) -> Any:
        """Return the activity that has made a speech handle."""
        in_tasks = (one for task in handle._tasks if task in self.tasks for one in self.stack(task))
        in_activity = (one.variables for one in in_tasks if one.function.startswith(f"{VOICE}agent_activity."))
        return next(variables["self"] for variables in in_activity if "self" in variables)


def drained(activity: Any) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, as its ``_scheduling_task()`` works them out."""
    blocked = list(activity._drain_blocked_tasks)
    handles = [handle for task in blocked if (handle := _speech_handle(task)) is not None]
    awaited = activity._speech_tasks if activity._scheduling_paused else ()
    return [task for task in awaited if not task.done() and task not in blocked and _speech_handle(task) not in handles]


def _speech_handle(task: Task) -> Any:
    return getattr(getattr(task, INFO, None), "speech_handle", None)


def generations(handle: Any) -> list[Future]:
    """Return the futures that are done when a generation of a speech has been said; 1.2.0 has the last one only."""
    found: list[Future] = handle._generations if hasattr(handle, "_generations") else [handle._generation_fut]
    return found


def _is_given_up(handle: Any) -> bool:
    """Say whether a speech was interrupted, and livekit-agents ends it when a timer runs out."""
    return getattr(handle, "_interrupt_timeout_handle", None) is not None


def _is_parked(handle: Any, activity: Any) -> bool:
    parked = activity._preemptive_generation
    return parked is not None and parked.speech_handle is handle


def _dead_end(reason: str) -> Wait:
    return Wait((), any_is_enough=True, reason=reason)
