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
    """Of a generation of a speech; the scheduling task waits for what its drain waits for besides."""
    if frame.variables["self"].done():
        edges.add_handle(frame.variables["self"])
    caller = frames[-2]
    is_scheduling = caller.function == f"{VOICE}agent_activity._scheduling_task"
    return Wait((future, *(edges.drain_needs(caller.variables["self"]) if is_scheduling else ())))


def _until_authorized(edges: LivekitEdges, frame: Suspended, *_: Any) -> Wait:
    """Of a speech that has to be scheduled, and that then waits in line behind the one that is being said."""
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
    """Of all that a speech does at a time. An interruption aborts the wait and does not complete it."""
    if frames[-1].function != "asyncio.tasks._wait":
        return None
    interruption = frame.variables["self"]._interrupt_fut
    return _any_of(future for future in frames[-1].variables["fs"] if future is not interruption)


def _until_inactive(edges: LivekitEdges, frame: Suspended, *_: Any) -> Wait:
    """Of an AgentTask that is closed, from 1.4.3 on: it is inactive once the task that awaits it is done with it."""
    agent_task = frame.variables["self"]
    awaiting = [task for task, (awaited, _) in edges.awaited_agent_tasks.items() if awaited is agent_task]
    is_abandoned = not awaiting and edges.all_awaits_are_known
    return _any_of((), ABANDONED.format(name_of(type(agent_task)))) if is_abandoned else Wait(tuple(awaiting))


def _until_idle(edges: LivekitEdges, frame: Suspended, frames: list[Suspended], _: Future) -> Wait | None:
    """Of the floor, which others hold in ``RunContext.foreground()``, by 1.7.0; all of them have to release it."""
    session = frame.variables["self"]._session
    if frames[-1].function != _EVENT or frames[-1].variables["self"] is not session._idle_released:
        return None
    held_by = tuple(edges.holders.get(id(session), ()))
    return Wait(held_by, reason=HOLDS_FLOOR if held_by else FLOOR_IS_HELD)


def _until_completed(edges: LivekitEdges, frame: Suspended, _: list[Suspended], future: Future) -> Wait | None:
    """Of an AgentTask, which anybody may complete; before that its task may await ``on_enter()`` of it."""
    if future in edges.tasks or edges.wait(future) != FREE:
        return None
    return Wait(reason=edges.why_unreached(frame.variables["self"], frame.variables["session"]))


def _reason_if(condition: Callable[[Any, Suspended, Future], bool], reason: str) -> Rule:
    """Return the rule that a task waits for something unknown, for this reason, where the condition holds."""
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
    f"{VOICE}tool_executor.execute": lambda _, frame, *__: Wait((frame.variables["exe_task"],)),  # the tool's own task
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
    "livekit.agents.utils.aio.utils._release_waiter": lambda edges, held: ([held["0"]], None),
    # the current speech alone on the oldest releases
    f"{VOICE}agent_activity.AgentActivity.interrupt.<locals>.on_playout_done": lambda edges, held: (
        [held["future"]],
        Wait(tuple(handle._done_fut for handle in held["interrupted_speeches"]))
        if "interrupted_speeches" in held
        else None,
    ),
    f"{VOICE}run_result.RunResult._mark_done_if_needed": lambda edges, held: (
        [held["self"]._done_fut],
        Wait(tuple(edges.run_needs(held["self"]))),
    ),
}


class LivekitEdges(Edges):
    """The waits among all tasks of an event loop, those of livekit-agents included."""

    rules, completions = RULES, COMPLETIONS
    generators = (f"{VOICE}agent_session._wait_for_idle_and_hold",)  # it holds the session's floor

    def __init__(self, tasks: set[Task]) -> None:
        super().__init__(tasks)
        self.infos = {task: info for task in tasks if (info := _info_of(task)) is not None}
        self.handles: dict[Future, Any] = {}  # by each of the futures of a speech handle that are not done
        self.read(callback for task in tasks for callback in callbacks_of(task))
        for handle in {id(handle): handle for info in self.infos.values() if (handle := info.speech_handle)}.values():
            self.add_handle(handle)

    def add_handle(self, handle: Any) -> None:
        """Add a speech to the graph; those that a task is for are there from the beginning."""
        futures = (handle._done_fut, handle._scheduled_fut, *generations(handle))
        self.handles.update((future, handle) for future in futures if not future.done())
        # A handle has callbacks of its own, which a callback of its future calls.
        self.read((handle._done_fut, callback) for callback in handle._done_callbacks)
        self.read(callback for future in futures for callback in callbacks_of(future))

    def functions(self, node: Any) -> list[str]:
        """Return the functions of livekit-agents that a task is suspended in, outermost first; none of other nodes."""
        return [frame.function for frame in self.stack(node) if frame.function.startswith(VOICE)]

    def is_generating(self, task: Task) -> bool:
        """Return whether a task asks a model for what a speech says."""
        return any(function.startswith(f"{VOICE}generation.") for function in self.functions(task))

    def writers(self, task: Any) -> list[Any]:
        """Return the tasks of plugins and of the user's that write what a task reads from a channel, or from several.

        They are those whose library functions hold the channel. These are no edges: others might write to it, too.
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
        functions = ((each, self.innermost(each)) for each in tasks[1:])
        return [each for each, function in functions if function and not function.startswith("livekit.agents.")]

    def agent_task(self, task: Task) -> Any:
        """Return the AgentTask that a task awaits, or None."""
        return self.awaited_agent_tasks.get(task, (None, None))[0]

    def tools_of(self, handle: Any) -> list[Task]:
        """Return the tools of a speech that are still running."""
        is_tool = (task for task, info in self.infos.items() if info.inline_task and info.function_call)
        return [task for task in is_tool if self.infos[task].speech_handle is handle]

    def drain_needs(self, activity: Any) -> list[Any]:
        """Return what a drain of an activity needs.

        From 1.7.0 on, a tool that awaits an AgentTask takes its own reply and the activity's ``on_enter`` out of the
        drain (``_add_drain_blocked_tasks()``). So the drain needs a reply, or that a running tool of it does so.
        """
        tasks = drained(activity)
        if not hasattr(activity, "_add_drain_blocked_tasks"):
            return [*tasks]
        tools = {handle: self.tools_of(handle) for task in tasks if (handle := speech_handle(task)) is not None}
        every_tool = [tool for of_handle in tools.values() for tool in of_handle]
        return [Alternative((task, *tools.get(speech_handle(task), every_tool))) for task in tasks]

    def run_needs(self, run: Any) -> list[Any]:
        """Return what a run needs: a tool that awaits an AgentTask takes its own speech out of the run."""
        return [
            handle if self._is_known(handle) else Alternative((handle._done_fut, *self.tools_of(handle)))
            for handle in run._handles
        ]

    def activity_of(self, handle: Any) -> Any:
        """Return the activity that has made a speech handle."""
        return next(each["self"] for each in self._activity_variables(handle._tasks) if "self" in each)

    def _activity_variables(self, tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
        """Yield the variables of the functions of an activity that tasks are in."""
        frames = (frame for task in tasks for frame in self.stack(task))
        return (frame.variables for frame in frames if frame.function.startswith(f"{VOICE}agent_activity."))

    def why_unreached(self, agent_task: Any, session: Any) -> str:
        """Return why no turn of the user reaches an AgentTask that is awaited; nothing where one may."""
        if session._activity is None:
            return f"the session is closed{UNREACHED}"
        if session._activity_lock.locked() or not self.all_awaits_are_known:
            return ""  # the agent is being changed, or it can't be seen who has taken whose place
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
        """The AgentTasks that tasks await, each with the agent whose place it has taken."""
        return {
            task: (frame.variables["self"], frame.variables.get("old_agent"))
            for task, info in self.infos.items()
            for frame in (self.stack(task) if info.inline_task else ())
            if frame.function == f"{VOICE}agent.__await_impl"
        }

    @functools.cached_property
    def all_awaits_are_known(self) -> bool:
        """Whether it is known of every task that can await an AgentTask whether it does.

        It is not known where what the task is suspended in ends before what it waits for, at an awaitable of the
        user's.
        """
        tasks: list[Any] = [task for task, info in self.infos.items() if info.inline_task]
        ends = [(task._fut_waiter, gc.get_referents(self.stack(task)[-1].awaited)) for task in tasks]
        return all(any(referent is future for referent in referents) for future, referents in ends)

    def reason_of_event(self, event: object) -> str:
        """Return why a task waits for an event; from 1.4.0 on, one is set when the caller stops speaking."""
        return USER_SPEAKS if id(event) in self._silence_events else ""

    @functools.cached_property
    def _silence_events(self) -> set[int]:
        selves = (variables.get("self") for variables in self._activity_variables(self.infos))
        return {id(getattr(activity, "_user_silence_event", None)) for activity in selves}

    def wait(self, node: Any) -> Wait:
        info = self.infos.get(node)
        handle = info.speech_handle if info and not info.function_call else self.handles.get(node)
        # The timer that ends an interrupted speech is running.
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
    """Return whether library functions have a channel in a variable or in their ``self``, but do not read it."""
    if frames and frames[-1].frame.f_locals.get("self") is channel:
        return False
    variables = [frame.variables for frame in frames if frame.function.startswith("livekit.")]
    with contextlib.suppress(AttributeError):
        variables += [object.__getattribute__(each["self"], "__dict__") for each in variables if "self" in each]
    return any(value is channel for each in variables for value in each.values())


def drained(activity: Any) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, as its ``_scheduling_task()`` works them out."""
    blocked = list(activity._drain_blocked_tasks)
    handles = [handle for task in blocked if (handle := speech_handle(task)) is not None]
    awaited = activity._speech_tasks if activity._scheduling_paused else ()
    return [task for task in awaited if not task.done() and task not in blocked and speech_handle(task) not in handles]


def speech_handle(task: Task) -> Any:
    """Return the speech that a task is for, if any."""
    return getattr(_info_of(task), "speech_handle", None)


def generations(handle: Any) -> list[Future]:
    """Return the futures that are done when a generation of a speech has been said; 1.2.0 has the last one only."""
    futures: list[Future] = handle._generations if hasattr(handle, "_generations") else [handle._generation_fut]
    return futures


def is_queued(activity: Any, handle: Any) -> bool:
    """Return whether a speech is in line to be said."""
    return any(queued is handle for *_, queued in activity._speech_q)


def _info_of(task: Task) -> Any:
    """Return what livekit-agents notes on a task, if anything."""
    if type(task) is asyncio.Task:
        return getattr(task, INFO, None)
    with contextlib.suppress(AttributeError):  # its class is the user's, and may have a __getattr__ of its own
        return object.__getattribute__(task, INFO)
    return None


def _any_of(futures: Iterable[Any], reason: str = "") -> Wait:
    return Wait(tuple(futures), any_is_enough=True, reason=reason)
