"""The edges of livekit-agents: replies, drains, scheduling, AgentTasks, runs and the floor, from 1.2.0 to 2.0.0b1.

To add an edge, write a rule and add a row to ``LivekitEdges.rules``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from .asyncio_edges import Completion, Edges, Future, Rule, callbacks_of, calling_frame
from .graph import FREE, Wait, any_of, reachable
from .livekit_internals import INFO, VOICE
from .stack import Suspended, Task, name_of

UNREACHED = ", and no turn of the user reaches it"
GIVEN_UP = "it was interrupted, and livekit-agents cancels it if it does not finish in time"
PLAYED = "it is being played"
_USER_SPEAKS = "the caller has not stopped speaking"


def _because(reason: str, applies: Callable[[Any, Any, Future], bool] = lambda *_: True) -> Rule:
    """Return a rule that makes a wait free, for a reason, if ``applies(edges, self of the frame, future)`` is true."""
    return lambda edges, frame, _, future: (
        Wait(reason=reason) if applies(edges, frame.variables["self"], future) else None
    )


class LivekitEdges(Edges):
    """The waits among all tasks of an event loop, those of livekit-agents included."""

    def __init__(self, tasks: set[Task]) -> None:
        super().__init__(tasks)
        self.infos = {task: info for task in tasks if (info := _info_of(task)) is not None}
        self.handles: dict[Future, Any] = {}  # future of a speech handle, if it is not done -> the handle
        self.record_completions(callback for task in tasks for callback in callbacks_of(task))
        for handle in dict.fromkeys(info.speech_handle for info in self.infos.values() if info.speech_handle):
            self._add_handle(handle)

    def _wait_of_drain(self, frame: Suspended, *_: Any) -> Wait:
        """Return what a drain needs; its activity's scheduling task computes that anew whenever it is woken up."""
        activity = frame.variables["self"]
        return FREE if activity._q_updated.is_set() else self._drain(activity)

    def _wait_for_generation(self, frame: Suspended, frames: list[Suspended], future: Future) -> Wait:
        """Return what a wait for a generation of a speech needs; in the scheduling task, also what its drain needs."""
        if frame.variables["self"].done():
            self._add_handle(frame.variables["self"])
        caller = frames[-2]
        is_scheduling = caller.function == f"{VOICE}agent_activity._scheduling_task"
        return Wait((future, *(self._drain(caller.variables["self"]).awaited if is_scheduling else ())))

    def _wait_for_authorization(self, frame: Suspended, *_: Any) -> Wait:
        """Return what a speech needs: to be scheduled, and then the end of the speech that is being said."""
        handle = frame.variables["self"]
        if not handle._scheduled_fut.done():
            return Wait((handle._scheduled_fut,))
        activity = next(self._activities(handle._tasks))
        speaking = activity._current_speech
        if not is_queued(activity, handle) or speaking in (None, handle):
            return FREE
        self._add_handle(speaking)
        return Wait(tuple(generations(speaking)[-1:]))

    def _wait_for_step(self, frame: Suspended, frames: list[Suspended], _: Future) -> Wait | None:
        """Return what the current step of a speech needs. An interruption aborts the wait and does not complete it."""
        if frames[-1].function != "asyncio.tasks._wait":
            return None
        interruption = frame.variables["self"]._interrupt_fut
        return any_of(future for future in frames[-1].variables["fs"] if future is not interruption)

    def _wait_for_inactive(self, frame: Suspended, *_: Any) -> Wait:
        """Return what the close of an AgentTask needs, from 1.4.3 on: the end of the task that awaits it."""
        agent_task = frame.variables["self"]
        awaiting = self._tasks_awaiting(agent_task)
        if awaiting or not self._all_awaits_are_known:
            return Wait(tuple(awaiting))
        name = name_of(type(agent_task))
        return any_of((), f"no task awaits the AgentTask {name} any more, and it can't become inactive")

    def _wait_for_idle(self, frame: Suspended, frames: list[Suspended], _: Future) -> Wait | None:
        """Return what a wait for the floor needs (from 1.7.0 on): every ``foreground()`` block to release it."""
        session = frame.variables["self"]._session
        if frames[-1].variables.get("self") is not session._idle_released:
            return None
        held_by = tuple(self._holders.get(id(session), ()))
        reason = (
            "it holds the floor, in a foreground() block"
            if held_by
            else "a foreground() block holds the floor, and it can't be seen in which task"
        )
        return Wait(held_by, reason=reason)

    def _wait_for_agent_task(self, frame: Suspended, _: list[Suspended], future: Future) -> Wait | None:
        """Return a free wait for an AgentTask, which any code may complete; None while ``on_enter()`` is awaited."""
        if future in self.tasks or self.wait(future) != FREE:
            return None
        return Wait(reason=self._why_unreached(frame.variables["self"], frame.variables["session"]))

    # What a task needs, by the function of livekit-agents that it is suspended in.
    rules: Mapping[str, Rule] = {
        **Edges.rules,
        f"{VOICE}agent.__await_impl": _wait_for_agent_task,
        f"{VOICE}agent._wait_for_inactive": _wait_for_inactive,
        f"{VOICE}agent_activity._scheduling_task": _wait_of_drain,
        f"{VOICE}agent_activity.wait_for_idle": _wait_for_idle,
        f"{VOICE}speech_handle._wait_for_authorization": _wait_for_authorization,
        f"{VOICE}speech_handle._wait_for_generation": _wait_for_generation,
        f"{VOICE}speech_handle.wait_if_not_interrupted": _wait_for_step,
        f"{VOICE}tool_executor.execute": lambda _, frame, *__: Wait((frame.variables["exe_task"],)),
        f"{VOICE}audio_recognition._wait_for_user_silence": _because(_USER_SPEAKS),
        f"{VOICE}io.wait_for_playout": _because(PLAYED),
        f"{VOICE}room_io._output.capture_frame": _because(
            "nobody has subscribed to the audio track", lambda _, output, future: future is output._subscribed_fut
        ),
        f"{VOICE}run_result._await_impl": _because(
            "every reply that it watches is done, and it ends only with the next one",
            lambda _, run, __: all(handle.done() for handle in run._handles),
        ),
        # from 1.4.0 on, an event is set when the caller stops speaking
        "asyncio.locks.wait": _because(_USER_SPEAKS, lambda edges, event, _: id(event) in edges._silence_events),
    }

    def _run(self, run: Any) -> Wait:
        """Return what a run needs; a tool that awaits an AgentTask removes its own speech from the run."""
        ends = {handle: handle if self._is_known(handle) else handle._done_fut for handle in run._handles}
        return Wait(tuple(any_of([end, *self._tools_of(handle)]) for handle, end in ends.items()))

    completions: Mapping[str, Completion] = {
        **Edges.completions,
        "livekit.agents.utils.aio.utils._release_waiter": lambda _, arguments: (arguments, None),
        # only the current speech on the oldest releases
        f"{VOICE}agent_activity.AgentActivity.interrupt.<locals>.on_playout_done": lambda _, names: (
            [names.future],
            Wait(tuple(handle._done_fut for handle in names.interrupted_speeches))
            if "interrupted_speeches" in vars(names)
            else None,
        ),
        f"{VOICE}run_result.RunResult._mark_done_if_needed": lambda edges, run: ([run._done_fut], edges._run(run)),
    }

    def wait(self, node: Any) -> Wait:
        info = self.infos.get(node)
        handle = info.speech_handle if info and not info.function_call else self.handles.get(node)
        # While this timer runs, livekit-agents is about to end an interrupted speech.
        is_given_up = getattr(handle, "_interrupt_timeout_handle", None) is not None
        return Wait(reason=GIVEN_UP) if is_given_up else super().wait(node)

    def functions(self, node: Any) -> list[str]:
        """Return the functions of livekit.agents.voice that a task is suspended in, outermost first, or []."""
        return [frame.function for frame in self.stack(node) if frame.function.startswith(VOICE)]

    def is_generating(self, task: Task) -> bool:
        """Return whether a task generates a speech with a model."""
        return any(function.startswith(f"{VOICE}generation.") for function in self.functions(task))

    def writers(self, task: Any) -> list[Any]:
        """Return the tasks of plugins and of user code that write to the channels that a task reads from.

        These are tasks whose library functions refer to the channel. They are no edges: others might write to it, too.
        """

        def follow(node: Any) -> Wait:
            frames = self.stack(node)
            if frames and frames[-1].function == "livekit.agents.utils.aio.channel.recv":
                channel = frames[-1].variables["self"]
                return Wait(tuple(other for other in self.tasks if _refers_to(self.stack(other), channel)))
            return FREE if node is task else self.wait(node)

        ends = ((node, calling_frame(self.stack(node))) for node in reachable([task], follow) if node is not task)
        return [node for node, frame in ends if frame and not frame.function.startswith("livekit.agents.")]

    def agent_task(self, task: Task) -> Any:
        """Return the AgentTask that a task awaits, or None."""
        return self.awaited_agent_tasks.get(task, (None, None))[0]

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
    def _all_awaits_are_known(self) -> bool:
        """Whether ``awaited_agent_tasks`` is complete: no stack ends at a user-defined awaitable before the future."""
        tasks: list[Any] = [task for task, info in self.infos.items() if info.inline_task]
        ends = [(task._fut_waiter, gc.get_referents(self.stack(task)[-1].awaited)) for task in tasks]
        return all(any(referent is future for referent in referents) for future, referents in ends)

    @functools.cached_property
    def _silence_events(self) -> set[int]:
        return {id(getattr(activity, "_user_silence_event", None)) for activity in self._activities(self.infos)}

    def _tasks_awaiting(self, agent_task: Any) -> list[Task]:
        return [task for task, (awaited, _) in self.awaited_agent_tasks.items() if awaited is agent_task]

    def _why_unreached(self, agent_task: Any, session: Any) -> str:
        """Return why no turn of the user can reach an awaited AgentTask; an empty string if one can."""
        if session._activity is None:
            return f"the session is closed{UNREACHED}"
        if session._activity_lock.locked() or not self._all_awaits_are_known:
            return ""  # an agent is being replaced, or it is unknown which agent replaced which
        before = {id(agent): old_agent for agent, old_agent in self.awaited_agent_tasks.values()}
        agent = current = session._activity.agent
        while agent is not agent_task and id(agent) in before:
            agent = before.pop(id(agent))
        if agent is agent_task:
            run = session._global_run_state
            return "" if run is None or run.done() else "it may need the user's next turn, which the run does not send"
        calls = [self.infos[task].function_call for task in self._tasks_awaiting(current)]
        tool = f" of the tool {calls[0].name}" if calls and calls[0] else ""
        return f"{name_of(type(current))}{tool} has taken its place{UNREACHED}"

    def _add_handle(self, handle: Any) -> None:
        """Add a speech to the graph; ``__init__`` adds those that have tasks."""
        futures = (handle._done_fut, handle._scheduled_fut, *generations(handle))
        self.handles.update((future, handle) for future in futures if not future.done())
        # A handle has callbacks of its own, which a callback of its future calls.
        self.record_completions((handle._done_fut, callback) for callback in handle._done_callbacks)
        self.record_completions(callback for future in futures for callback in callbacks_of(future))

    def _wait_of_future(self, future: Any) -> Wait:
        handle = self.handles.get(future)
        if handle is None:
            return super()._wait_of_future(future)
        if future is handle._done_fut:
            return Wait(tuple(handle._tasks))
        if future is handle._scheduled_fut:
            activity = next(self._activities(handle._tasks))
            parked = activity._preemptive_generation
            if parked is not None and parked.speech_handle is handle:
                return Wait(
                    reason="it is a preemptive generation, which is scheduled or cancelled only at the user's next turn"
                )
            never = any_of((), "it was made while scheduling was paused, and nothing will schedule it")
            return never if activity._scheduling_paused else FREE
        if handle.done() or future is not generations(handle)[-1]:
            return any_of((), "its generation was never marked as done, and nothing will mark it")
        return any_of(handle._tasks)

    def _drain(self, activity: Any) -> Wait:
        """Return what a drain of an activity needs.

        From 1.7.0 on, a tool that awaits an AgentTask removes its own reply and the activity's ``on_enter`` task from
        the drain (``_add_drain_blocked_tasks()``). So the drain needs a reply, or that a running tool removes it.
        """
        tasks = tasks_to_drain(activity)
        if not hasattr(activity, "_add_drain_blocked_tasks"):
            return Wait(tuple(tasks))
        tools = {task: self._tools_of(handle) for task in tasks if (handle := speech_handle(task)) is not None}
        every_tool = [tool for tools_of_reply in tools.values() for tool in tools_of_reply]
        return Wait(tuple(any_of([task, *tools.get(task, every_tool)]) for task in tasks))

    def _tools_of(self, handle: Any) -> list[Task]:
        """Return the tools of a speech that are still running."""
        tools = (task for task, info in self.infos.items() if info.inline_task and info.function_call)
        return [task for task in tools if self.infos[task].speech_handle is handle]

    def _activities(self, tasks: Iterable[Task]) -> Iterator[Any]:
        """Yield the activities whose functions these tasks are suspended in."""
        frames = (frame for task in tasks for frame in self.stack(task))
        variables = (frame.variables for frame in frames if frame.function.startswith(f"{VOICE}agent_activity."))
        return (names["self"] for names in variables if "self" in names)


def _refers_to(frames: list[Suspended], channel: object) -> bool:
    """Return whether library functions refer to a channel, in a variable or in their ``self``, without reading it."""
    if frames and frames[-1].variables.get("self") is channel:
        return False
    variables = [frame.variables for frame in frames if frame.function.startswith("livekit.")]
    with contextlib.suppress(AttributeError):
        variables += [object.__getattribute__(names["self"], "__dict__") for names in variables if "self" in names]
    return any(value is channel for names in variables for value in names.values())


def tasks_to_drain(activity: Any) -> list[Task]:
    """Return the speech tasks that a drain of this activity waits for, computed as in its ``_scheduling_task()``."""
    blocked = set(map(id, activity._drain_blocked_tasks))  # by identity, because a task's class may be user-defined
    handles = [handle for task in activity._drain_blocked_tasks if (handle := speech_handle(task)) is not None]
    awaited = activity._speech_tasks if activity._scheduling_paused else ()
    return [
        task for task in awaited if not task.done() and id(task) not in blocked and speech_handle(task) not in handles
    ]


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
