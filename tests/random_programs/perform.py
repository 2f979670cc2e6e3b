"""Play a program on the stage of the scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import itertools
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any, Callable

from livekit.agents import Agent, AgentSession, AgentTask, RunContext, function_tool
from scenarios import stage
from scenarios.stage import complete, note, step

from onenter_deadlock_fix.verify.scripted_model import Answer, ToolCall

from .generate import Action, Program

PATIENCE = 6.0  # seconds; longer than whatever a program or the library waits for before it goes on


def play(program: Program) -> dict[str, Any]:
    """Return what the stage does, and more.

    still: who was waiting, in the words of ``waits``, when nothing moved any more and before the session was closed.
    changes: the functions of livekit-agents that were changing the agent or closing the session then, and at the end.
    """
    performance = Performance(program)
    outcome = stage.play(performance.play, patience=PATIENCE, at_the_end=performance.note_waits)
    return {**outcome, "still": performance.still, "changes": performance.changes}


class Performance:
    """What the methods of the agents do, verb by verb.

    A verb is a method, or a row of ``ALONE`` or ``TOGETHER``, and returns what is to be awaited, if anything is.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.handles: list[Any] = []
        self._jobs: list[Any] = []  # kept alive
        self._returned: dict[str, Any] = {}  # by the tool that returns it
        self.contexts: dict[str, Any] = {}  # by the tool
        self._homes: dict[str, int] = {}  # the sessions that agents belong to that are not in the first one
        self._over: dict[str, asyncio.Event] = {}  # by the method that something is said until the end of
        self.still: list[str] | None = None
        self.changes: list[list[str]] = []

    async def play(self) -> None:
        self.locks = [asyncio.Lock(), asyncio.Lock()]
        self.condition, self.semaphore = asyncio.Condition(), asyncio.Semaphore(1)
        self.events = [asyncio.Event(), asyncio.Event()]
        await note("the user: start", self._start(next(iter(self._program.agents))))
        await asyncio.sleep(0.05)
        for action in self._program.user:
            try:
                await self._do((action,), "the user", None)
            except RuntimeError:  # as the agent is changing, or the session closing
                step("the user is not heard")
        seen = -1
        while seen != stage.steps_taken():
            seen = stage.steps_taken()
            await asyncio.sleep(PATIENCE)
        self.note_waits()

    def note_waits(self) -> None:
        """Note who waits, and which changes are under way."""
        if self.still is None:
            self.still = stage.waits()
        self.changes.append(changes_under_way())

    def tasks(self, does: list[Any]) -> list[Any]:
        tasks = [asyncio.ensure_future(each) for each in does]
        self._jobs += tasks
        return tasks

    async def _start(self, name: str) -> None:
        await stage.start(self.agent(name), _answers(self._program))

    def session(self, agent: Any) -> Any:
        """Return the session of an agent, or the first one for the user; it is there before start() returns."""
        return stage.sessions[self._homes.get(type(agent).__name__, 0)]

    def agent(self, name: str, maker: Any = None) -> Any:
        spec = self._program.agents[name]
        if type(maker).__name__ in self._homes:
            self._homes[name] = self._homes[type(maker).__name__]

        def method(method: str, does: tuple[Action, ...]) -> Any:
            async def perform(agent: Any) -> None:
                await self._do_noted(does, f"{name}.{method}", agent)

            return perform

        def tool(tool: str, does: tuple[Action, ...]) -> Any:
            async def perform(context: RunContext[Any]) -> Any:
                self.contexts[tool] = context
                await self._do_noted(does, tool, agent)
                return self._returned.get(tool, "done")

            return function_tool(perform, name=tool, description="Does something.")

        methods = {name: method(name, does) for name, does in spec.methods.items()}
        cls: Any = type(name, (AgentTask if spec.is_task else Agent,), methods)
        agent = cls(instructions=f"instructions of {name}", tools=[tool(*item) for item in spec.tools.items()])
        return agent

    async def _do_noted(self, actions: tuple[Action, ...], who: str, agent: Any) -> None:
        try:
            await note(who, self._do(actions, who, agent))
        finally:
            self._over.pop(who, asyncio.Event()).set()

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
        if action.verb in TOGETHER:
            does = [self._do((inner,), who, agent) for inner in action.inner]
            awaitable = _finished(TOGETHER[action.verb](self, does, *action.arguments))
        else:
            step(f"{who}: {action}")
            verb = functools.partial(ALONE[action.verb], self) if action.verb in ALONE else getattr(self, action.verb)
            awaitable = verb(who, agent, *action.arguments, *action.inner)
        if awaitable is not None:
            await note(f"{who}: {action}", awaitable)

    def _handle(self, agent: Any, tools: str) -> Any:
        handle = self.session(agent).generate_reply(user_input=_asking_for(tools), tool_choice="auto")
        self.handles.append(handle)
        return handle

    def reply(self, who: str, agent: Any, tools: str, how: str) -> Any:
        handle = self._handle(agent, tools)
        return handle.wait_for_playout() if how == "awaited" else None

    def say(self, who: str, agent: Any, how: str, at_any_rate: bool) -> Any:
        handle = self.session(agent).say("Well.", allow_interruptions=not at_any_rate)
        return handle.wait_for_playout() if how == "awaited" else None

    def say_until(self, who: str, agent: Any) -> None:
        """Have something said that lasts until this method is over."""
        over = self._over.setdefault(who, asyncio.Event())

        async def text() -> AsyncIterator[str]:
            yield "Well, "
            await over.wait()
            yield "there it is."

        self.session(agent).say(text())

    async def run(self, who: str, agent: Any, tools: str) -> None:
        await self.session(agent).run(user_input=_asking_for(tools))

    async def foreground(self, who: str, agent: Any, inner: Action) -> None:
        """Do something while nobody else speaks, where a tool can."""
        context = self.contexts.get(who)
        async with context.foreground() if hasattr(context, "foreground") else contextlib.AsyncExitStack():
            await self._do((inner,), who, agent)

    def return_agent(self, who: str, agent: Any, name: str) -> None:
        self._returned[who] = self.agent(name, agent)

    def other_session(self, who: str, agent: Any, name: str) -> Any:
        self._homes[name] = len(stage.sessions)
        return self._start(name)

    def complete(self, who: str, agent: Any) -> None:
        if isinstance(agent, AgentTask) and not agent.done():
            complete(agent, "result")

    def fail(self, who: str, agent: Any) -> None:
        raise ValueError(who)

    def interrupt(self, who: str, agent: Any, how: str, by_force: bool) -> Any:
        can_force = "force" in inspect.signature(AgentSession.interrupt).parameters
        interrupting = self.session(agent).interrupt(**({"force": by_force} if can_force else {}))
        return interrupting if how == "awaited" else None

    def interrupt_first(self, who: str, agent: Any) -> None:
        if self.handles:
            self.handles[0].interrupt()

    def close(self, who: str, agent: Any, how: str) -> Any:
        (closing,) = self.tasks([self.session(agent).aclose()])
        return closing if how == "awaited" else None


# Verbs of one line, as the methods of Performance.
ALONE: dict[str, Callable[..., Any]] = {
    "sleep": lambda self, who, agent, seconds: asyncio.sleep(seconds),
    "set_event": lambda self, who, agent, number: self.events[number].set(),
    "wait_for_event": lambda self, who, agent, number: self.events[number].wait(),
    "agent_task": lambda self, who, agent, name: self.agent(name, agent),
    "update_agent": lambda self, who, agent, name: self.session(agent).update_agent(self.agent(name, agent)),
    "await_handle": lambda self, who, agent: self.handles[0].wait_for_playout() if self.handles else None,
    "drain": lambda self, who, agent: self.session(agent).drain(),
    "shutdown": lambda self, who, agent: getattr(self.session(agent), "shutdown", lambda: None)(),
    # until what was said before the tool was called has been played
    "playout": lambda self, who, agent: getattr(self.contexts[who], "wait_for_playout", lambda: None)(),
    # after which the reply doesn't wait for the tool any more
    "progress": lambda self, who, agent: getattr(self.contexts[who], "update", lambda _: None)("Still at it."),
}


async def _finished(awaitable: Any) -> None:
    await awaitable


async def _within(block: Any, does: Iterable[Any]) -> None:
    async with block:
        for each in does:
            await each


@contextlib.asynccontextmanager
async def _managed(lock: asyncio.Lock) -> AsyncIterator[None]:
    async with lock:
        yield


async def _in_generator(lock: asyncio.Lock, does: list[Any]) -> None:
    async def locked() -> AsyncIterator[Any]:
        async with lock:
            for each in does:
                yield each

    async for each in locked():
        await each


async def _out_of(lock: asyncio.Lock, does: list[Any]) -> None:
    async with lock:
        lock.release()
        try:
            await asyncio.gather(*does)
        finally:
            await lock.acquire()


async def _in_task_group(does: list[Any]) -> None:
    if sys.version_info < (3, 11):
        await asyncio.gather(*does)
        return
    async with asyncio.TaskGroup() as group:
        for each in does:
            group.create_task(each)


async def _give_up(does: list[Any], seconds: float) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(*does, seconds)


async def _cancelled_later(task: Any, seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


# Verbs that are done with other actions, of which they get the coroutines.
TOGETHER: dict[str, Callable[..., Any]] = {
    "gather": lambda self, does: asyncio.gather(*does),
    "helper": lambda self, does: asyncio.ensure_future(*does),
    "shield": lambda self, does: asyncio.shield(*does),
    "wait": lambda self, does: asyncio.wait(self.tasks(does)),
    "first": lambda self, does: asyncio.wait(self.tasks(does), return_when=asyncio.FIRST_COMPLETED),
    "wait_a_while": lambda self, does, seconds: asyncio.wait(self.tasks(does), timeout=seconds),
    "wait_for": lambda self, does: asyncio.wait_for(*does, None),
    "as_completed": lambda self, does: _within(contextlib.AsyncExitStack(), asyncio.as_completed(self.tasks(does))),
    "task_group": lambda self, does: _in_task_group(does),
    "in_lock": lambda self, does, number: _within(self.locks[number], does),
    "twice_in_lock": lambda self, does, number: _within(self.locks[number], [_within(self.locks[number], does)]),
    "in_condition": lambda self, does: _within(self.condition, does),
    "in_semaphore": lambda self, does: _within(self.semaphore, does),
    "in_lock_of_manager": lambda self, does, number: _within(_managed(self.locks[number]), does),
    "in_lock_of_generator": lambda self, does, number: _in_generator(self.locks[number], does),
    "out_of_lock": lambda self, does, number: _out_of(self.locks[number], does),
    "give_up": lambda self, does, seconds: _give_up(does, seconds),
    "cancel_later": lambda self, does, seconds: _cancelled_later(*self.tasks(does), seconds),
}


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
    files = {"pause": "activity", "drain": "activity", "aclose": "activity", "_aclose_impl": "session"}
    found = []
    for task in asyncio.all_tasks():
        coroutine: Any = task.get_coro()
        while coroutine is not None and hasattr(coroutine, "cr_code"):
            code = coroutine.cr_code
            if code.co_name in files and code.co_filename.endswith(f"agent_{files[code.co_name]}.py"):
                found.append(code.co_name)
            coroutine = coroutine.cr_await
    return sorted(found)
