"""The fix adds one task to the blocked tasks of a handoff to an awaited AgentTask, and changes no other handoff."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import AgentSession
from livekit.agents.voice.agent_activity import AgentActivity
from programs import Forks
from scenarios import Scenario, entered, nested, pattern, stage
from scenarios.stage import Desk, Lobby, Name, complete, happens, play, quiet, start


def blocked_tasks_in(scenario: Scenario) -> list[list[str]]:
    """Play a scenario, and return the blocked tasks of each pause of an agent: on_enter, or a tool by its name."""
    pauses: list[list[str]] = []
    pause = AgentActivity.pause

    def name(activity: AgentActivity, task: asyncio.Task[Any]) -> str:
        if task is activity._on_enter_task:
            return "on_enter"
        return str(getattr(task, "__livekit_agents_activity_task").function_call.name)

    async def spied_pause(self: AgentActivity, *, blocked_tasks: list[asyncio.Task[Any]]) -> None:
        pauses.append([name(self, task) for task in blocked_tasks])
        await pause(self, blocked_tasks=blocked_tasks)

    AgentActivity.pause = spied_pause  # type: ignore[method-assign]  # this is a fork
    played = play(scenario)
    assert played["ended"] == "completed", played
    return pauses


async def an_inherited_context() -> None:
    """A task that on_enter of the awaited AgentTask creates pauses that AgentTask, whose on_enter is not done."""

    class Paused(Name):
        async def on_enter(self) -> None:
            self.pausing = asyncio.create_task(self.pause())
            await quiet()

        async def pause(self) -> None:
            await self.session._update_activity(Lobby(), previous_activity="pause", blocked_tasks=[])
            await self.session._update_activity(self, new_activity="resume")
            complete(self, "Ada")

    class Pausing(Desk):
        Task = Paused

    await start(Pausing())
    await happens("Desk.on_enter goes on")


async def a_handoff_in_a_task_of_its_own() -> None:
    """A session of the user's makes each handoff in a new task, as with wait_for() before Python 3.12."""

    class Session(AgentSession[Any]):
        async def _update_activity(self, *args: Any, **kwargs: Any) -> None:
            async def update() -> None:
                await AgentSession._update_activity(self, *args, **kwargs)

            await asyncio.create_task(update())

    stage.AgentSession = Session  # type: ignore[misc,assignment]  # this is a fork
    await start(Desk())
    await happens("Desk.on_enter goes on")


@pytest.mark.parametrize(
    ("scenario", "pauses"),
    [
        (pattern.the_pattern, [["collect", "on_enter"]]),
        (pattern.a_reply_to_the_user, [["collect"]]),  # on_enter is done
        (nested.on_enter_awaits_the_agent_task_itself, [["on_enter"]]),  # and not twice
        (nested.the_pattern_in_an_agent_task, [["collect", "on_enter"], ["ask_name", "on_enter"]]),
        (entered.the_agent_changes_and_the_agent_task_completes, [["collect", "on_enter"]]),
        (an_inherited_context, [["collect", "on_enter"], []]),
        (a_handoff_in_a_task_of_its_own, [["collect", "on_enter"]]),
    ],
)
def test_on_enter_is_a_blocked_task_if_its_own_agent_is_paused(
    scenario: Scenario, pauses: list[list[str]], library: Forks
) -> None:
    assert library.call(blocked_tasks_in, scenario) == pauses
