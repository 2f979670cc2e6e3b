"""Plays a program on the stage of the scenarios, and says what it knows of how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
from livekit.agents import Agent, AgentSession, AgentTask, RunContext, function_tool, stt
from scenarios import stage
from scenarios.stage import complete, note, step

from onenter_deadlock_fix.verify.scripted_model import Answer, ToolCall

from .generate import Action, AgentSpec, Program

PATIENCE = 10.0  # seconds; longer than whatever a program or the library waits for before it goes on


def play(program: Program) -> dict[str, Any]:
    """Return what the stage does, and more.

    still: who was waiting, in the words of ``waits``, when nothing moved any more and before the session was closed.
    changes: the functions of livekit-agents that were changing the agent or closing the session then, and at the end.
    """
    performance = Performance(program)
    outcome = stage.play(performance.play, patience=PATIENCE, at_the_end=performance.look)
    return {**outcome, "still": performance.still, "changes": performance.changes}


class Performance:
    """One session, and what the methods of its agents do, verb by verb."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._handles: list[Any] = []
        self._jobs: list[Any] = []  # kept alive
        self._returned: dict[str, Any] = {}  # by the tool that returns it
        self._contexts: dict[str, Any] = {}  # by the tool
        self._homes: dict[str, int] = {}  # the sessions that agents belong to that are not in the first one
        self._over: dict[str, asyncio.Event] = {}  # by the method that something is said until the end of
        self.still: list[str] | None = None
        self.changes: list[list[str]] = []

    async def play(self) -> None:
        self._locks = [asyncio.Lock(), asyncio.Lock()]
        self._events = [asyncio.Event(), asyncio.Event()]
        self._condition, self._semaphore, self._queue = asyncio.Condition(), asyncio.Semaphore(1), asyncio.Queue[int]()
        self._said: asyncio.Queue[str] = asyncio.Queue()  # by the user, and not heard yet
        first, *_ = self._program.agents.values()
        options: dict[str, Any] = {}
        if any(action.verb == "turn" for action in self._program.user):
            options.update(stt=_Ears(), turn_detection="manual")
        if self._program.captures_run and "capture_run" in inspect.signature(AgentSession.start).parameters:
            options["start"] = {"capture_run": True}
        await self._start("the user", first, **options)
        await asyncio.sleep(0.05)
        for action in self._program.user:
            try:
                await self._do((action,), "the user", None)
            except RuntimeError:  # as the agent is changing, or the session closing
                step("the user is not heard")
        await self._nothing_moves()
        self.look()

    async def _start(self, who: str, spec: AgentSpec, **options: Any) -> None:
        async def start() -> None:
            await stage.start(self._agent(spec), _answers(self._program), **options)

        await note(f"{who}: start with {spec.name}", start())

    def look(self) -> None:
        """Note who waits, and which changes are under way."""
        if self.still is None:
            self.still = stage.waits()
        self.changes.append(changes_under_way())

    def _session(self, agent: Any) -> Any:
        """Return the session of an agent, or the first one for the user; it is there before start() returns."""
        return stage.sessions[self._homes.get(type(agent).__name__, 0)]

    async def _nothing_moves(self) -> None:
        seen = -1
        while seen != stage.steps_taken():
            seen = stage.steps_taken()
            await asyncio.sleep(PATIENCE)

    def _agent(self, spec: AgentSpec, maker: Any = None) -> Agent:
        if type(maker).__name__ in self._homes:
            self._homes[spec.name] = self._homes[type(maker).__name__]

        async def on_enter(agent: Any) -> None:
            await self._do_noted(spec.on_enter, f"{spec.name}.on_enter", agent)

        async def on_exit(agent: Any) -> None:
            await self._do_noted(spec.on_exit, f"{spec.name}.on_exit", agent)

        async def on_user_turn_completed(agent: Any, turn_ctx: Any, new_message: Any) -> None:
            await self._do_noted(spec.on_user_turn_completed, f"{spec.name}.on_user_turn_completed", agent)

        async def stt_node(agent: Any, audio: Any, model_settings: Any) -> AsyncIterator[Any]:
            while True:
                said = stt.SpeechData(language="en", text=await self._said.get())
                yield stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[said])

        base: Any = AgentTask if spec.is_task else Agent
        methods = {"on_enter": on_enter, "on_exit": on_exit, "stt_node": stt_node}
        if spec.on_user_turn_completed:
            methods["on_user_turn_completed"] = on_user_turn_completed
        cls = type(spec.name, (base,), methods)
        agent: Agent
        tools = [self._tool(name, does, lambda: agent) for name, does in spec.tools.items()]
        agent = cls(instructions=f"instructions of {spec.name}", tools=tools)
        return agent

    def _tool(self, name: str, does: tuple[Action, ...], agent: Any) -> Any:
        async def tool(context: RunContext[Any]) -> Any:
            self._contexts[name] = context
            await self._do_noted(does, name, agent())
            return self._returned.get(name, "done")

        return function_tool(tool, name=name, description="Does something.")

    async def _do_noted(self, actions: tuple[Action, ...], who: str, agent: Any) -> None:
        try:
            await note(who, self._do(actions, who, agent))
        finally:
            if who in self._over:
                self._over.pop(who).set()

    async def _do(self, actions: tuple[Action, ...], who: str, agent: Any) -> None:
        later: list[Any] = []
        for action in actions:
            if action.verb == "reply" and action.arguments[1] == "later":
                later.append(self._handle(agent, action.arguments[0]))
            else:
                await self._act(action, who, agent)
        for handle in later:
            await note(f"{who}: the reply", handle.wait_for_playout())

    async def _act(self, action: Action, who: str, agent: Any) -> None:
        verb = getattr(self, action.verb, None)
        if verb is not None:
            await verb(who, agent, *action.arguments, *action.inner)
            return
        together = getattr(self, f"_{action.verb}_of")
        does = [self._do((inner,), who, agent) for inner in action.inner]
        await note(f"{who}: {action.verb}", together(does, *action.arguments))

    def _handle(self, agent: Any, tools: str) -> Any:
        asking = self._session(agent).generate_reply(user_input=_asking_for(tools), tool_choice="auto")
        self._handles.append(asking)
        return asking

    # what is done with nothing

    async def reply(self, who: str, agent: Any, tools: str, how: str) -> None:
        handle = self._handle(agent, tools)
        if how == "awaited":
            await note(f"{who}: the reply {tools}", handle.wait_for_playout())

    async def await_handle(self, who: str, agent: Any, how: str) -> None:
        if self._handles:
            await note(f"{who}: the first reply", self._handles[0].wait_for_playout())

    async def say(self, who: str, agent: Any, how: str, at_any_rate: bool) -> None:
        handle = self._session(agent).say("Well.", allow_interruptions=not at_any_rate)
        if how == "awaited":
            await note(f"{who}: say", handle.wait_for_playout())

    async def say_until(self, who: str, agent: Any) -> None:
        """Have something said that lasts until this method is over."""
        over = self._over.setdefault(who, asyncio.Event())

        async def text() -> AsyncIterator[str]:
            yield "Well, "
            await over.wait()
            yield "there it is."

        self._session(agent).say(text())

    async def run(self, who: str, agent: Any, tools: str) -> None:
        async def run() -> None:
            await self._session(agent).run(user_input=_asking_for(tools))

        await note(f"{who}: run", run())

    async def foreground(self, who: str, agent: Any, *does: Action) -> None:
        """Do something while nobody else speaks, where a tool can."""
        inner = self._do(does, who, agent)
        if who in self._contexts and hasattr(RunContext, "foreground"):
            await note(f"{who}: foreground", self._foreground(self._contexts[who], inner))
        else:
            await inner

    async def _foreground(self, context: Any, inner: Any) -> None:
        async with context.foreground():
            await inner

    async def sleep(self, who: str, agent: Any, seconds: float) -> None:
        await note(f"{who}: sleep", asyncio.sleep(seconds))

    async def set_event(self, who: str, agent: Any, number: int) -> None:
        self._events[number].set()

    async def wait_for_event(self, who: str, agent: Any, number: int) -> None:
        await note(f"{who}: event {number}", self._events[number].wait())

    async def agent_task(self, who: str, agent: Any, name: str) -> None:
        await note(f"{who}: {name}", self._agent(self._program.agents[name], agent))  # type: ignore[arg-type]

    async def update_agent(self, who: str, agent: Any, name: str) -> None:
        step(f"{who}: update_agent({name})")
        self._session(agent).update_agent(self._agent(self._program.agents[name], agent))

    async def complete(self, who: str, agent: Any) -> None:
        if isinstance(agent, AgentTask) and not agent.done():
            complete(agent, "result")

    async def fail(self, who: str, agent: Any) -> None:
        raise ValueError(who)

    async def interrupt(self, who: str, agent: Any, how: str, by_force: bool) -> None:
        can_force = "force" in inspect.signature(AgentSession.interrupt).parameters
        interrupting = self._session(agent).interrupt(**({"force": by_force} if can_force else {}))
        step(f"{who}: interrupts")
        if how == "awaited":
            await note(f"{who}: interrupt", interrupting)

    async def close(self, who: str, agent: Any, how: str) -> None:
        step(f"{who}: closes")
        closing = asyncio.ensure_future(self._session(agent).aclose())
        self._jobs.append(closing)
        if how == "awaited":
            await note(f"{who}: close", closing)

    async def shutdown(self, who: str, agent: Any) -> None:
        step(f"{who}: closes")
        if hasattr(AgentSession, "shutdown"):
            self._session(agent).shutdown()

    async def interrupt_first(self, who: str, agent: Any) -> None:
        if self._handles:
            step(f"{who}: interrupts")
            self._handles[0].interrupt()

    async def return_agent(self, who: str, agent: Any, name: str) -> None:
        step(f"{who}: returns {name}")
        self._returned[who] = self._agent(self._program.agents[name], agent)

    async def other_session(self, who: str, agent: Any, name: str) -> None:
        self._homes[name] = len(stage.sessions)
        await self._start(who, self._program.agents[name])

    async def turn(self, who: str, agent: Any, tools: str) -> None:
        """Say something, so that there is a turn of the user."""
        step(f"{who}: a turn")
        self._said.put_nowait(_asking_for(tools))
        await asyncio.sleep(0.05)
        self._session(agent).commit_user_turn()
        await asyncio.sleep(0.05)

    async def put(self, who: str, agent: Any) -> None:
        self._queue.put_nowait(0)

    async def get(self, who: str, agent: Any) -> None:
        await note(f"{who}: event in the queue", self._queue.get())

    async def playout(self, who: str, agent: Any) -> None:
        """Wait for what was said before the tool was called."""
        if hasattr(RunContext, "wait_for_playout"):
            await note(f"{who}: playout", self._contexts[who].wait_for_playout())

    async def progress(self, who: str, agent: Any) -> None:
        """Output of progress, after which the reply doesn't wait for the tool any more."""
        if hasattr(RunContext, "update"):
            await note(f"{who}: progress", self._contexts[who].update("Still at it."))

    async def drain(self, who: str, agent: Any) -> None:
        await note(f"{who}: drain", self._session(agent).drain())

    # what is done with what is done

    async def _gather_of(self, does: list[Any]) -> None:
        await asyncio.gather(*does)

    async def _helper_of(self, does: list[Any]) -> None:
        await asyncio.ensure_future(*does)

    async def _shield_of(self, does: list[Any]) -> None:
        await asyncio.shield(*does)

    async def _wait_of(self, does: list[Any]) -> None:
        await asyncio.wait(self._tasks(does))

    async def _first_of(self, does: list[Any]) -> None:
        await asyncio.wait(self._tasks(does), return_when=asyncio.FIRST_COMPLETED)

    async def _wait_a_while_of(self, does: list[Any], seconds: float) -> None:
        await asyncio.wait(self._tasks(does), timeout=seconds)

    async def _wait_for_of(self, does: list[Any]) -> None:
        await asyncio.wait_for(*does, None)

    async def _as_completed_of(self, does: list[Any]) -> None:
        for next_one in asyncio.as_completed(self._tasks(does)):
            await next_one

    async def _task_group_of(self, does: list[Any]) -> None:
        if sys.version_info < (3, 11):
            await asyncio.gather(*does)
            return
        async with asyncio.TaskGroup() as group:
            for one in does:
                group.create_task(one)

    async def _within(self, block: Any, does: list[Any]) -> None:
        async with block:
            for one in does:
                await one

    async def _in_lock_of(self, does: list[Any], number: int) -> None:
        await self._within(self._locks[number], does)

    async def _in_condition_of(self, does: list[Any]) -> None:
        await self._within(self._condition, does)

    async def _in_semaphore_of(self, does: list[Any]) -> None:
        await self._within(self._semaphore, does)

    async def _in_lock_of_manager_of(self, does: list[Any], number: int) -> None:
        @contextlib.asynccontextmanager
        async def locked() -> AsyncIterator[None]:
            async with self._locks[number]:
                yield

        await self._within(locked(), does)

    async def _in_lock_of_stack_of(self, does: list[Any], number: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._locks[number])
            for one in does:
                await one

    async def _in_lock_of_generator_of(self, does: list[Any], number: int) -> None:
        async def locked() -> AsyncIterator[Any]:
            async with self._locks[number]:
                for one in does:
                    yield one

        async for one in locked():
            await one

    async def _out_of_lock_of(self, does: list[Any], number: int) -> None:
        async with self._locks[number]:
            self._locks[number].release()
            try:
                for one in does:
                    await one
            finally:
                await self._locks[number].acquire()

    async def _generator_of(self, does: list[Any]) -> None:
        async def done() -> AsyncIterator[int]:
            for number, one in enumerate(does):
                await one
                yield number

        async for _ in done():
            pass

    async def _anyio_group_of(self, does: list[Any]) -> None:
        async def run(one: Any) -> None:
            await one

        async with anyio.create_task_group() as group:
            for one in does:
                group.start_soon(run, one)

    async def _callback_of(self, does: list[Any]) -> None:
        done = asyncio.get_running_loop().create_future()
        (job,) = self._tasks(does)
        job.add_done_callback(lambda _: done.done() or done.set_result(None))
        await done

    async def _eager_of(self, does: list[Any]) -> None:
        if sys.version_info < (3, 12):
            await asyncio.ensure_future(*does)
            return
        await asyncio.Task(*does, loop=asyncio.get_running_loop(), eager_start=True)

    async def _twice_in_lock_of(self, does: list[Any], number: int) -> None:
        async with self._locks[number]:
            await self._in_lock_of(does, number)

    async def _give_up_of(self, does: list[Any], seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(*does, seconds)

    async def _time_out_of(self, does: list[Any], seconds: float) -> None:
        if sys.version_info < (3, 11):
            await self._give_up_of(does, seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for one in does:
                    await one

    async def _cancel_later_of(self, does: list[Any], seconds: float) -> None:
        (job,) = self._tasks(does)
        asyncio.get_running_loop().call_later(seconds, job.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await job

    def _tasks(self, does: list[Any]) -> list[Any]:
        tasks = [asyncio.ensure_future(one) for one in does]
        self._jobs += tasks
        return tasks


class _Ears(stt.STT):
    """What a session needs for its agents' ``stt_node`` to be used."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def _answers(program: Program) -> dict[str, Answer]:
    """Return what the model answers: it calls the tools that it is asked for, and then says something."""
    names = [name for agent in program.agents.values() for name in agent.tools]
    calls = [*itertools.permutations(names, 1), *itertools.permutations(names, 2)]
    asked: dict[str, Answer] = {_asking_for(" ".join(call)): [ToolCall(name) for name in call] for call in calls}
    return {**asked, _asking_for(""): "Hello.", **dict.fromkeys(names, "Done.")}


def _asking_for(tools: str) -> str:
    return f"call {tools}"


def changes_under_way() -> list[str]:
    """Return the functions of livekit-agents that change the agent or close the session, and that a task is in."""
    found = []
    for task in asyncio.all_tasks():
        coroutine: Any = task.get_coro()
        while coroutine is not None and hasattr(coroutine, "cr_code"):
            code = coroutine.cr_code
            if (code.co_name in ("pause", "drain", "aclose") and code.co_filename.endswith("agent_activity.py")) or (
                code.co_name == "_aclose_impl" and code.co_filename.endswith("agent_session.py")
            ):
                found.append(code.co_name)
            coroutine = coroutine.cr_await
    return sorted(found)
