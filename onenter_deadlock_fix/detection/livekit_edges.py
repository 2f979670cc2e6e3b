"""The edges of livekit-agents: replies, drains, scheduling, AgentTasks, runs and the floor, from 1.2.0 to 2.0.0b1.

To add an edge, write a rule and add a row to ``RULES``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from collections.abc import Iterable, Iterator
from typing import Any, Callable

from . import asyncio_edges, graph
from .asyncio_edges import Alternative, Completion, Edges, Future, Rule, callbacks_of
from .graph import FREE, Wait
from .livekit_internals import INFO, VOICE
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
HOLDS_FLOOR = "it holds the floor"
FLOOR_IS_HELD = "the floor is held, and it can't be seen by which task"
NO_SUBSCRIBER = "nobody has subscribed to the audio track"
USER_SPEAKS = "the caller has not stopped speaking"

_EVENT = "asyncio.locks.wait"


def _until_drained(edges: LivekitEdges, frame: Suspended, frames: list[Suspended], _: Future) -> Wait:
    activity = frame.variables["self"]
    is_woken_up = activity._q_updated.is_set() and frames[-1].function == _EVENT
    return FREE if is_woken_up else Wait(tuple(edges.drain_needs(activity)))


def _until_generated(edges: LivekitEdges, frame: Suspended, frames: list[Suspended], future: Future) -> Wait:
    """Return what a wait for a generation of a speech needs; in the scheduling task, also what its drain needs."""
    if frame.variables["self"].done():
        edges.add_handle(frame.variables["self"])
    caller = frames[-2]
    is_scheduling = caller.function == f"{VOICE}agent_activity._scheduling_task"
    return Wait((future, *(edges.drain_needs(caller.variables["self"]) if is_scheduling else ())))


def _until_authorized(edges: LivekitEdges, frame: Suspended, *_: Any) -> Wait:
    """Return what a speech needs: to be scheduled, and then the end of the speech that is being said."""
    handle = frame.variables["self"]
    if not handle._scheduled_fut.done():
        return Wait((handle._scheduled_fut,))
    activity = edges.activity_of(handle)
    speaking = activity._current_speech
    if not is_queued(activity, handle) or speaking in (None, handle):
        return FREE
    edges.add_handle(speaking)
    return Wait(tuple(generations(speaking)[-1:]))


def _unless_interrupted(_: LivekitEdges, frame: Suspended, frames: list[Suspended], __: Future) -> Wait | None:
    """Return what the current step of a speech needs. An interruption aborts the wait and does not complete it."""
    if frames[-1].function != "asyncio.tasks._wait":
        return None
    interruption = frame.variables["self"]._interrupt_fut
    return _any_of(future for future in frames[-1].variables["fs"] if future is not interruption)


def _until_inactive(edges: LivekitEdges, frame: Suspended, *_: Any) -> Wait:
    """Return what the close of an AgentTask needs, from 1.4.3 on: the end of the task that awaits it."""
    agent_task = frame.variables["self"]
    awaiting = [task for task, (awaited, _) in edges.awaited_agent_tasks.items() if awaited is agent_task]
    is_abandoned = not awaiting and edges.all_awaits_are_known
    return _any_of((), ABANDONED.format(name_of(type(agent_task)))) if is_abandoned else Wait(tuple(awaiting))


def _until_idle(edges: LivekitEdges, frame: Suspended, frames: list[Suspended], _: Future) -> Wait | None:
    """Return what a wait for the floor needs (1.7.0 has it): every ``RunContext.foreground()`` block to release it."""
    session = frame.variables["self"]._session
    if frames[-1].function != _EVENT or frames[-1].variables["self"] is not session._idle_released:
        return None
    held_by = tuple(edges.holders.get(id(session), ()))
    return Wait(held_by, reason=HOLDS_FLOOR if held_by else FLOOR_IS_HELD)


def _until_completed(edges: LivekitEdges, frame: Suspended, _: list[Suspended], future: Future) -> Wait | None:
    """Return a free wait for an AgentTask, which any code may complete; None while ``on_enter()`` is awaited."""
    if future in edges.tasks or edges.wait(future) != FREE:
        return None
    return Wait(reason=edges.why_unreached(frame.variables["self"], frame.variables["session"]))


def _reason_if(condition: Callable[[Any, Suspended, Future], bool], reason: str) -> Rule:
    """Return a rule: if the condition holds, the task waits for something unknown, for this reason."""
    return lambda edges, frame, _, future: Wait(reason=reason) if condition(edges, frame, future) else None


# What a task needs, by the function of livekit-agents that it is suspended in.
RULES: dict[str, Rule] = {
    **asyncio_edges.RULES,
    f"{VOICE}agent.__await_impl": _until_completed,
    f"{VOICE}agent._wait_for_inactive": _until_inactive,
    f"{VOICE}agent_activity._scheduling_task": _until_drained,
    f"{VOICE}agent_activity.wait_for_idle": _until_idle,
    f"{VOICE}speech_handle._wait_for_authorization": _until_authorized,
    f"{VOICE}speech_handle._wait_for_generation": _until_generated,
    f"{VOICE}speech_handle.wait_if_not_interrupted": _unless_interrupted,
    f"{VOICE}tool_executor.execute": lambda _, frame, *__: Wait((frame.variables["exe_task"],)),  # the task of the tool
    f"{VOICE}audio_recognition._wait_for_user_silence": _reason_if(lambda *_: True, USER_SPEAKS),
    f"{VOICE}io.wait_for_playout": _reason_if(lambda *_: True, PLAYED),
    f"{VOICE}room_io._output.capture_frame": _reason_if(
        lambda _, frame, future: future is frame.variables["self"]._subscribed_fut, NO_SUBSCRIBER
    ),
    f"{VOICE}run_result._await_impl": _reason_if(
        lambda _, frame, __: all(handle.done() for handle in frame.variables["self"]._handles), UNWATCHED
    ),
    _EVENT: lambda edges, frame, *_: Wait(reason=edges.reason_of_event(frame.variables["self"])),
}

COMPLETIONS: dict[str, Completion] = {
    **asyncio_edges.COMPLETIONS,
    "livekit.agents.utils.aio.utils._release_waiter": lambda edges, bound: ([bound["0"]], None),
    # only the current speech on the oldest releases
    f"{VOICE}agent_activity.AgentActivity.interrupt.<locals>.on_playout_done": lambda edges, bound: (
        [bound["future"]],
        Wait(tuple(handle._done_fut for handle in bound["interrupted_speeches"]))
        if "interrupted_speeches" in bound
        else None,
    ),
    f"{VOICE}run_result.RunResult._mark_done_if_needed": lambda edges, bound: (
        [bound["self"]._done_fut],
        Wait(tuple(edges.run_needs(bound["self"]))),
    ),
}


class LivekitEdges(Edges):
    """The waits among all tasks of an event loop, those of livekit-agents included."""

    rules, completions = RULES, COMPLETIONS
    generators = (f"{VOICE}agent_session._wait_for_idle_and_hold",)  # holds the session's floor at its yield

    def __init__(self, tasks: set[Task]) -> None:
        super().__init__(tasks)
        self.infos = {task: info for task in tasks if (info := _info_of(task)) is not None}
        self.handles: dict[Future, Any] = {}  # future of a speech handle, if it is not done -> the handle
        self.read(callback for task in tasks for callback in callbacks_of(task))
        for handle in {id(handle): handle for info in self.infos.values() if (handle := info.speech_handle)}.values():
            self.add_handle(handle)

    def add_handle(self, handle: Any) -> None:
        """Add a speech to the graph; ``__init__`` adds those that have tasks."""
        futures = (handle._done_fut, handle._scheduled_fut, *generations(handle))
        self.handles.update((future, handle) for future in futures if not future.done())
        # A handle has callbacks of its own, which a callback of its future calls.
        self.read((handle._done_fut, callback) for callback in handle._done_callbacks)
        self.read(callback for future in futures for callback in callbacks_of(future))

    def functions(self, node: Any) -> list[str]:
        """Return the functions of livekit-agents that a task is suspended in, outermost first; [] for other nodes."""
        return [frame.function for frame in self.stack(node) if frame.function.startswith(VOICE)]

    def is_generating(self, task: Task) -> bool:
        """Return whether a task generates a speech with a model."""
        return any(function.startswith(f"{VOICE}generation.") for function in self.functions(task))

    def writers(self, task: Any) -> list[Any]:
        """Return the tasks of plugins and of user code that write to the channels that a task reads from.

        These are tasks whose library functions refer to the channel. They are no edges: others might write to it, too.
        """
        tasks, ids = [task], {id(task)}
        for reader in tasks:
            frames = self.stack(reader)
            reads = bool(frames) and frames[-1].function == "livekit.agents.utils.aio.channel.recv"
            channel = frames[-1].variables["self"] if reads else None
            nodes = self.tasks if reads else graph.reachable([reader], self.wait)
            new = [node for node in nodes if id(node) not in ids and (not reads or _holds(self.stack(node), channel))]
            ids.update(map(id, new))
            tasks += new if reads or reader is not task else []
        functions = ((writer, self.innermost(writer)) for writer in tasks[1:])
        return [writer for writer, function in functions if function and not function.startswith("livekit.agents.")]

    def agent_task(self, task: Task) -> Any:
        """Return the AgentTask that a task awaits, or None."""
        return self.awaited_agent_tasks.get(task, (None, None))[0]

    def tools_of(self, handle: Any) -> list[Task]:
        """Return the tools of a speech that are still running."""
        is_tool = (task for task, info in self.infos.items() if info.inline_task and info.function_call)
        return [task for task in is_tool if self.infos[task].speech_handle is handle]

    def drain_needs(self, activity: Any) -> list[Any]:
        """Return what a drain of an activity needs.

        From 1.7.0 on, a tool that awaits an AgentTask removes its own reply and the activity's ``on_enter`` task from
        the drain (``_add_drain_blocked_tasks()``). So the drain needs a reply, or that a running tool removes it.
        """
        tasks = drained(activity)
        if not hasattr(activity, "_add_drain_blocked_tasks"):
            return [*tasks]
        tools = {handle: self.tools_of(handle) for task in tasks if (handle := speech_handle(task)) is not None}
        every_tool = [tool for of_handle in tools.values() for tool in of_handle]
        return [Alternative((task, *tools.get(speech_handle(task), every_tool))) for task in tasks]

    def run_needs(self, run: Any) -> list[Any]:
        """Return what a run needs; a tool that awaits an AgentTask removes its own speech from the run."""
        return [
            handle if self._is_known(handle) else Alternative((handle._done_fut, *self.tools_of(handle)))
            for handle in run._handles
        ]

    def activity_of(self, handle: Any) -> Any:
        """Return the activity that created a speech handle."""
        return next(names["self"] for names in self._activity_variables(handle._tasks) if "self" in names)

    def _activity_variables(self, tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
        """Yield the variables of each function of ``agent_activity`` that these tasks are suspended in."""
        frames = (frame for task in tasks for frame in self.stack(task))
        return (frame.variables for frame in frames if frame.function.startswith(f"{VOICE}agent_activity."))

    def why_unreached(self, agent_task: Any, session: Any) -> str:
        """Return why no turn of the user can reach an awaited AgentTask; an empty string if one can."""
        if session._activity is None:
            return f"the session is closed{UNREACHED}"
        if session._activity_lock.locked() or not self.all_awaits_are_known:
            return ""  # an agent is being replaced, or it is unknown which agent replaced which
        before = {id(agent): old_agent for agent, old_agent in self.awaited_agent_tasks.values()}
        agent = current = session._activity.agent
        while agent is not agent_task and id(agent) in before:
            agent = before.pop(id(agent))
        if agent is agent_task:
            run = session._global_run_state
            return "" if run is None or run.done() else NO_TURN
        awaiting = (task for task, (awaited, _) in self.awaited_agent_tasks.items() if awaited is current)
        calls = [self.infos[task].function_call for task in awaiting]
        tool = f" of the tool {calls[0].name}" if calls and calls[0] else ""
        return f"{name_of(type(current))}{tool} has taken its place{UNREACHED}"

    @functools.cached_property
    def awaited_agent_tasks(self) -> dict[Task, tuple[Any, Any]]:
        """The AgentTask that each task awaits, with the agent that it has replaced."""
        return {
            task: (frame.variables["self"], frame.variables.get("old_agent"))
            for task, info in self.infos.items()
            for frame in (self.stack(task) if info.inline_task else ())
            if frame.function == f"{VOICE}agent.__await_impl"
        }

    @functools.cached_property
    def all_awaits_are_known(self) -> bool:
        """Whether ``awaited_agent_tasks`` is complete.

        It may not be if the stack of a task ends at a user-defined awaitable, before the future that the task waits
        for.
        """
        tasks: list[Any] = [task for task, info in self.infos.items() if info.inline_task]
        ends = [(task._fut_waiter, gc.get_referents(self.stack(task)[-1].awaited)) for task in tasks]
        return all(any(referent is future for referent in referents) for future, referents in ends)

    def reason_of_event(self, event: object) -> str:
        """Return why a task waits for an event; from 1.4.0 on, an event is set when the caller stops speaking."""
        return USER_SPEAKS if id(event) in self._silence_events else ""

    @functools.cached_property
    def _silence_events(self) -> set[int]:
        selves = (variables.get("self") for variables in self._activity_variables(self.infos))
        return {id(getattr(activity, "_user_silence_event", None)) for activity in selves}

    def wait(self, node: Any) -> Wait:
        info = self.infos.get(node)
        handle = info.speech_handle if info and not info.function_call else self.handles.get(node)
        # While this timer runs, livekit-agents is about to end an interrupted speech.
        is_given_up = getattr(handle, "_interrupt_timeout_handle", None) is not None
        return Wait(reason=GIVEN_UP) if is_given_up else super().wait(node)

    def _wait_of_future(self, future: Any) -> Wait:
        handle = self.handles.get(future)
        if handle is None:
            return super()._wait_of_future(future)
        if future is handle._done_fut:
            return Wait(tuple(handle._tasks))
        if future is handle._scheduled_fut:
            activity = self.activity_of(handle)
            parked = activity._preemptive_generation
            if parked is not None and parked.speech_handle is handle:
                return Wait(reason=PARKED)
            return _any_of((), NEVER_SCHEDULED) if activity._scheduling_paused else FREE
        if handle.done() or future is not generations(handle)[-1]:
            return _any_of((), NEVER_DONE)
        return _any_of(handle._tasks)


def _holds(frames: list[Suspended], channel: object) -> bool:
    """Return whether library functions refer to a channel, in a variable or in their ``self``, without reading it."""
    if frames and frames[-1].frame.f_locals.get("self") is channel:
        return False
    variables = [frame.variables for frame in frames if frame.function.startswith("livekit.")]
    with contextlib.suppress(AttributeError):
        variables += [object.__getattribute__(names["self"], "__dict__") for names in variables if "self" in names]
    return any(value is channel for names in variables for value in names.values())


def drained(activity: Any) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, computed as in its ``_scheduling_task()``."""
    blocked = list(activity._drain_blocked_tasks)
    handles = [handle for task in blocked if (handle := speech_handle(task)) is not None]
    awaited = activity._speech_tasks if activity._scheduling_paused else ()
    return [task for task in awaited if not task.done() and task not in blocked and speech_handle(task) not in handles]


def speech_handle(task: Task) -> Any:
    """Return the speech handle that a task belongs to, or None."""
    return getattr(_info_of(task), "speech_handle", None)


def generations(handle: Any) -> list[Future]:
    """Return the futures of a speech's generations, done once they have been said; 1.2.0 keeps only the last one."""
    futures: list[Future] = handle._generations if hasattr(handle, "_generations") else [handle._generation_fut]
    return futures


def is_queued(activity: Any, handle: Any) -> bool:
    """Return whether a speech is in the activity's queue."""
    return any(queued is handle for *_, queued in activity._speech_q)


def _info_of(task: Task) -> Any:
    """Return the task info that livekit-agents has set on a task, or None."""
    if type(task) is asyncio.Task:
        return getattr(task, INFO, None)
    with contextlib.suppress(AttributeError):  # bypasses the __getattr__ of a user-defined class
        return object.__getattribute__(task, INFO)
    return None


def _any_of(futures: Iterable[Any], reason: str = "") -> Wait:
    return Wait(tuple(futures), any_is_enough=True, reason=reason)
