"""The edges of livekit-agents: replies, drains, scheduling, AgentTasks and runs, from 1.2.0 to 2.0.0b1."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from collections.abc import Iterable
from typing import Any

from .asyncio_edges import COMPLETIONS, Completion, Edges, Future, callbacks_of
from .graph import FREE, Wait
from .library import INFO, VOICE
from .stack import Suspended, Task, name_of

NEVER_SCHEDULED = "it was made while scheduling was paused, and nothing will schedule it"
NEVER_DONE = "its generation was never marked as done, and nothing will mark it"
ABANDONED = "no task awaits the AgentTask {} any more, and it can't become inactive"
UNREACHED = ", and no turn of the user reaches it"
GIVEN_UP = "it was interrupted, and livekit-agents gives it up unless it is over soon"
PLAYED = "it is being played"
UNWATCHED = "no speech is under way that it watches, and it ends with the next one"
PARKED = "a preemptive generation is parked, and ends only with the user's next turn"
NO_TURN = "it may need the user's next turn, which the run does not send"

_COMPLETIONS: dict[str, Completion] = {
    **COMPLETIONS,
    "livekit.agents.utils.aio.utils._release_waiter": COMPLETIONS["asyncio.tasks._release_waiter"],
    # the current speech alone on the oldest releases
    f"{VOICE}agent_activity.AgentActivity.interrupt.<locals>.on_playout_done": lambda held: (
        [held["future"]],
        _all_done(held["interrupted_speeches"]) if "interrupted_speeches" in held else None,
    ),
    f"{VOICE}run_result.RunResult._mark_done_if_needed": lambda held: (
        [held["self"]._done_fut],
        _all_done(held["self"]._handles),
    ),
}


class LivekitEdges(Edges):
    """The waits among all tasks of an event loop, those of livekit-agents included."""

    def __init__(self, tasks: set[Task]) -> None:
        super().__init__(tasks)
        self.infos = {task: info for task in tasks if (info := _info_of(task)) is not None}
        self.handles: dict[Future, Any] = {}  # by each of the futures of a speech handle that are not done
        callbacks = [each for task in tasks for each in callbacks_of(task)]
        for handle in {id(handle): handle for info in self.infos.values() if (handle := info.speech_handle)}.values():
            futures = (handle._done_fut, handle._scheduled_fut, *generations(handle))
            self.handles.update((future, handle) for future in futures if not future.done())
            # a handle has callbacks of its own, which one of its future's calls
            callbacks += [(handle._done_fut, callback) for callback in handle._done_callbacks]
        self.read([*callbacks, *(each for future in self.handles for each in callbacks_of(future))], _COMPLETIONS)

    def functions(self, node: Any) -> list[str]:
        """Return the functions of livekit-agents that a task is suspended in, outermost first; none of other nodes."""
        return [one.function for one in self.stack(node) if one.function.startswith(VOICE)]

    def agent_task(self, task: Task) -> Any:
        """Return the AgentTask that a task awaits, or None."""
        return self._awaited.get(task, (None, None))[0]

    def wait(self, node: Any) -> Wait:
        info = self.infos.get(node)
        handle = info.speech_handle if info and not info.function_call else self.handles.get(node)
        # whether it was interrupted, and livekit-agents ends it when a timer runs out
        is_given_up = getattr(handle, "_interrupt_timeout_handle", None) is not None
        return Wait(reason=GIVEN_UP) if is_given_up else super().wait(node)

    def wait_in(self, suspended: list[Suspended], awaited: Future) -> Wait:
        # Innermost first. A task of which nothing can be read has none, which raises, and so it is free.
        functions = [one.function for one in suspended[:-4:-1]]
        if functions[::2] == ["asyncio.tasks._wait", f"{VOICE}speech_handle.wait_if_not_interrupted"]:
            interruption = suspended[-3].variables["self"]._interrupt_fut  # which aborts the wait
            return _any_of(one for one in suspended[-1].variables["fs"] if one is not interruption)
        if any(one.function == f"{VOICE}io.wait_for_playout" for one in suspended):
            return Wait(reason=PLAYED)
        # in the wait() of an Event, it is the caller that knows; anybody may set one of the user's
        position = 1 if functions[0] == "asyncio.locks.wait" else 0
        if not functions[position].startswith(VOICE):
            return FREE if position else super().wait_in(suspended, awaited)
        function, variables = functions[position][len(VOICE) :], suspended[-1 - position].variables
        own: Any = variables.get("self")
        if function == "agent_activity._scheduling_task":
            return FREE if own._q_updated.is_set() else Wait(tuple(drained(own)))
        if function == "agent._wait_for_inactive":
            awaiting = [task for task, (agent_task, _) in self._awaited.items() if agent_task is own]
            is_abandoned = not awaiting and self._all_are_known
            return _any_of((), ABANDONED.format(name_of(type(own)))) if is_abandoned else Wait(tuple(awaiting))
        if function == "speech_handle._wait_for_authorization":
            return self._wait_for_authorization(own)
        if function == "speech_handle._wait_for_generation":
            if own.done():
                self.handles[awaited] = own
            is_scheduling = functions[1] == f"{VOICE}agent_activity._scheduling_task"
            return Wait((awaited, *(drained(suspended[-2].variables["self"]) if is_scheduling else ())))
        if function == "tool_executor.execute":  # for what the tool's own task sets
            return Wait((variables["exe_task"],))
        if function == "run_result._await_impl" and all(handle.done() for handle in own._handles):
            return Wait(reason=UNWATCHED)
        if function == "agent.__await_impl" and awaited not in self.tasks and self.wait(awaited) == FREE:
            # anybody may complete an AgentTask
            return Wait(reason=self._why_unreached(own, variables["session"]))
        return FREE if position else super().wait_in(suspended, awaited)

    def _wait_for_authorization(self, handle: Any) -> Wait:
        if not handle._scheduled_fut.done():
            return Wait((handle._scheduled_fut,))
        activity = self._activity_of(handle)
        speaking = activity._current_speech
        is_behind = is_queued(activity, handle) and speaking not in (None, handle)
        return Wait(tuple(generations(speaking)[-1:])) if is_behind else FREE

    def _wait_of_future(self, future: Any) -> Wait:
        handle = self.handles.get(future)
        if handle is None:
            return super()._wait_of_future(future)
        if future is handle._done_fut:
            return Wait(tuple(handle._tasks))
        if future is handle._scheduled_fut:
            activity = self._activity_of(handle)
            parked = activity._preemptive_generation
            if parked is not None and parked.speech_handle is handle:
                return Wait(reason=PARKED)
            return _any_of((), NEVER_SCHEDULED) if activity._scheduling_paused else FREE
        if handle.done() or future is not generations(handle)[-1]:
            return _any_of((), NEVER_DONE)
        return _any_of(handle._tasks)

    def _why_unreached(self, agent_task: Any, session: Any) -> str:
        """Return why no turn of the user reaches an AgentTask that is awaited; nothing where one may."""
        if session._activity is None:
            return f"the session is closed{UNREACHED}"
        if session._activity_lock.locked() or not self._all_are_known:
            return ""  # the agent is being changed, or it can't be seen who has taken whose place
        before = {id(agent): old_agent for agent, old_agent in self._awaited.values()}
        agent = current = session._activity.agent
        while agent is not agent_task and id(agent) in before:
            agent = before.pop(id(agent))
        if agent is agent_task:
            run = session._global_run_state
            return "" if run is None or run.done() else NO_TURN
        calls = [self.infos[task].function_call for task, (awaited, _) in self._awaited.items() if awaited is current]
        tool = f" of the tool {calls[0].name}" if calls and calls[0] else ""
        return f"{name_of(type(current))}{tool} has taken its place{UNREACHED}"

    @functools.cached_property
    def _awaited(self) -> dict[Task, tuple[Any, Any]]:
        """The AgentTasks that tasks await, each with the agent whose place it has taken."""
        return {
            task: (one.variables["self"], one.variables.get("old_agent"))
            for task, info in self.infos.items()
            for one in (self.stack(task) if info.inline_task else ())
            if one.function == f"{VOICE}agent.__await_impl"
        }

    @functools.cached_property
    def _all_are_known(self) -> bool:
        """Say whether it is known of every task that can await an AgentTask whether it does.

        It is not where what it is suspended in ends before what it waits for, at an awaitable of the user's.
        """
        tasks: list[Any] = [task for task, info in self.infos.items() if info.inline_task]
        ends = [(task._fut_waiter, gc.get_referents(self.stack(task)[-1].awaited)) for task in tasks]
        return all(any(one is waited_for for one in held) for waited_for, held in ends)

    def _activity_of(self, handle: Any) -> Any:
        """Return the activity that has made a speech handle."""
        in_tasks = (one for task in handle._tasks for one in self.stack(task))
        in_activity = (one.variables for one in in_tasks if one.function.startswith(f"{VOICE}agent_activity."))
        return next(variables["self"] for variables in in_activity if "self" in variables)


def drained(activity: Any) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, as its ``_scheduling_task()`` works them out."""
    blocked = list(activity._drain_blocked_tasks)
    handles = [handle for task in blocked if (handle := speech_handle(task)) is not None]
    awaited = activity._speech_tasks if activity._scheduling_paused else ()
    return [task for task in awaited if not task.done() and task not in blocked and speech_handle(task) not in handles]


def _info_of(task: Task) -> Any:
    """Return what livekit-agents notes on a task, if anything."""
    if type(task) is asyncio.Task:
        return getattr(task, INFO, None)
    with contextlib.suppress(AttributeError):  # its class is the user's, and may have a __getattr__ of its own
        return object.__getattribute__(task, INFO)
    return None


def speech_handle(task: Task) -> Any:
    """Return the speech that a task is for, if any."""
    return getattr(_info_of(task), "speech_handle", None)


def generations(handle: Any) -> list[Future]:
    """Return the futures that are done when a generation of a speech has been said; 1.2.0 has the last one only."""
    found: list[Future] = handle._generations if hasattr(handle, "_generations") else [handle._generation_fut]
    return found


def is_queued(activity: Any, handle: Any) -> bool:
    """Say whether a speech is in line to be said."""
    return any(queued is handle for *_, queued in activity._speech_q)


def _all_done(handles: Iterable[Any]) -> Wait:
    return Wait(tuple(getattr(handle, "_done_fut", handle) for handle in handles))


def _any_of(futures: Iterable[Any], reason: str = "") -> Wait:
    return Wait(tuple(futures), any_is_enough=True, reason=reason)
