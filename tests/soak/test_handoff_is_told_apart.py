"""The shim adds one task to the handoff to an awaited AgentTask, and lets every other change of the agent be."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Iterator
from typing import Any, Callable

import pytest
from livekit.agents import Agent, AgentSession, AgentTask, function_tool
from livekit.agents.voice.agent_activity import AgentActivity
from programs import LIMIT

import onenter_deadlock_fix
from onenter_deadlock_fix.verify.scripted_model import ScriptedLLM

from .conversation import calls

Hook = Callable[["Play"], Awaitable[None]]

# what _update_activity() does where it is not told otherwise, the same in every affected release
AS_IT_IS = {"previous_activity": "close", "new_activity": "start", "blocked_tasks": None, "wait_on_enter": True}


class Play:
    """A session whose tool awaits an AgentTask, and what was asked of the library in it."""

    def __init__(self) -> None:
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.pauses: list[list[str]] = []  # blocked_tasks of each, by name
        self.updates: list[tuple[Agent, dict[str, Any]]] = []  # as they reach the library
        self.over = asyncio.Event()
        self.session: AgentSession[Play] = AgentSession(llm=ScriptedLLM(calls("work")), userdata=self)

    async def run(self, agent: Agent) -> None:
        await self.session.start(agent)
        await asyncio.wait_for(self.over.wait(), LIMIT)
        await asyncio.wait_for(self.session.aclose(), LIMIT)

    def here(self, name: str) -> None:
        """Name the running task."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks[name] = task

    def names(self, tasks: list[asyncio.Task[Any]]) -> list[str]:
        known = {task: name for name, task in self.tasks.items()}
        return [known.get(task, repr(task)) for task in tasks]


@pytest.fixture(autouse=True)
def spies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the plays see what the library is asked for, below the shim."""
    pause = AgentActivity.pause

    @functools.wraps(pause)
    async def spied_pause(self: AgentActivity, *, blocked_tasks: list[asyncio.Task[Any]]) -> None:
        play = self._session.userdata
        play.pauses.append(play.names(blocked_tasks))
        await pause(self, blocked_tasks=blocked_tasks)

    onenter_deadlock_fix.deactivate()
    update_activity = AgentSession._update_activity

    @functools.wraps(update_activity)
    async def spied_update_activity(self: AgentSession[Play], agent: Agent, **kwargs: Any) -> None:
        self.userdata.updates.append((agent, {**AS_IT_IS, **kwargs}))
        await update_activity(self, agent, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(AgentActivity, "pause", spied_pause)
        patch.setattr(AgentSession, "_update_activity", spied_update_activity)
        assert onenter_deadlock_fix.activate().state == "patched"
        yield
        onenter_deadlock_fix.deactivate()
    onenter_deadlock_fix.activate()


async def nothing(play: Play) -> None:
    """Do nothing."""


class FrontDesk(Agent):
    """Awaits an AgentTask in a tool of a reply that on_enter does or does not await, or in on_enter itself."""

    def __init__(self, play: Play, on_enter: str, before: Hook = nothing, during: Hook = nothing) -> None:
        super().__init__(instructions="")
        self._play = play
        self._on_enter = on_enter
        self._before = before
        self._during = during

    async def on_enter(self) -> None:
        self._play.here("on_enter")
        if self._on_enter == "awaits the reply":
            await self.session.generate_reply()
            self._play.over.set()
        elif self._on_enter == "has the reply come later":
            self.session.generate_reply()
        else:
            await self._hand_over()
            self._play.over.set()

    @function_tool
    async def work(self) -> None:
        self._play.here("tool")
        await self._hand_over()
        if self._on_enter == "has the reply come later":
            self._play.over.set()

    async def _hand_over(self) -> None:
        await self._before(self._play)
        await Step(self._play, self._during)


class Step(AgentTask[None]):
    """An AgentTask that has something done before it completes."""

    def __init__(self, play: Play, during: Hook = nothing, name: str = "on_enter of the AgentTask") -> None:
        super().__init__(instructions="", llm=ScriptedLLM(calls("go_deeper")))
        self._play = play
        self._during = during
        self._name = name

    async def on_enter(self) -> None:
        self._play.here(self._name)
        await self._during(self._play)
        self.complete(None)

    @function_tool
    async def go_deeper(self) -> None:
        self._play.here("tool of the AgentTask")
        await Step(self._play, name="on_enter of the inner AgentTask")


def run(on_enter: str, before: Hook = nothing, during: Hook = nothing) -> Play:
    """Play the handoff in an event loop of its own; the hooks run before it, and in on_enter of the AgentTask."""

    async def run() -> Play:
        play = Play()
        await play.run(FrontDesk(play, on_enter, before, during))
        return play

    return asyncio.run(run())


def test_on_enter_that_awaits_the_reply_is_blocked_beside_the_tool() -> None:
    assert run("awaits the reply").pauses == [["tool", "on_enter"]]


def test_on_enter_that_is_done_is_not_blocked() -> None:
    async def on_enter_done(play: Play) -> None:
        await play.tasks["on_enter"]

    play = run("has the reply come later", before=on_enter_done)
    assert play.pauses == [["tool"]]


def test_on_enter_that_awaits_the_agent_task_itself_is_blocked_once() -> None:
    assert run("awaits the AgentTask").pauses == [["on_enter"]]


def test_of_two_nested_handoffs_each_blocks_the_on_enter_of_its_own_activity() -> None:
    async def reply(play: Play) -> None:
        await play.session.generate_reply()

    play = run("awaits the reply", during=reply)
    assert play.pauses == [["tool", "on_enter"], ["tool of the AgentTask", "on_enter of the AgentTask"]]


def test_a_task_that_inherits_the_context_of_the_handoff_changes_the_agent_by_its_own_rules() -> None:
    other = Agent(instructions="")

    async def change(play: Play) -> None:
        agent_task = play.session.current_agent
        blocked_tasks = [play.tasks["on_enter of the AgentTask"]]
        await play.session._update_activity(other, previous_activity="pause", blocked_tasks=blocked_tasks)
        await play.session._update_activity(agent_task, new_activity="resume")

    async def have_it_changed(play: Play) -> None:
        agent_task = play.session.current_agent
        changing.append(asyncio.create_task(change(play)))
        for agent in (other, agent_task):  # the task itself goes on to wait for this on_enter
            while play.session.current_agent is not agent:
                await asyncio.sleep(0)

    changing: list[asyncio.Task[None]] = []
    play = run("awaits the reply", during=have_it_changed)

    assert play.pauses == [["tool", "on_enter"], ["on_enter of the AgentTask"]]
    there, back = play.updates[2:4]
    assert there == (
        other,
        {**AS_IT_IS, "previous_activity": "pause", "blocked_tasks": [play.tasks["on_enter of the AgentTask"]]},
    )
    assert back[1] == {**AS_IT_IS, "new_activity": "resume"}


def test_update_agent_while_an_agent_task_is_awaited_goes_through_as_it_is() -> None:
    other = Agent(instructions="")

    async def update_agent(play: Play) -> None:
        play.session.update_agent(other)

    play = run("awaits the AgentTask", during=update_agent)

    assert (other, AS_IT_IS) in play.updates
    assert play.pauses == [["on_enter"]]
