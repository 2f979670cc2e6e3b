"""The pattern with a realtime model, whose session is closed while an AgentTask is the current agent."""

from __future__ import annotations

from livekit.agents import function_tool
from realtime_model import ScriptedRealtimeModel

from onenter_deadlock_fix.verify.scripted_model import ScriptedLLM

from . import add_scenario, agent_scenarios, nested, pattern, scenario
from .stage import Desk, Lobby, Name, complete, happens, note, reply, script, start, step

for _name, _agent in {
    "a_realtime_model": pattern.the_pattern,
    "a_realtime_model_and_an_agent_task_in_an_agent_task": nested.the_pattern_in_an_agent_task,
    "a_realtime_model_and_two_agent_tasks_in_a_row": pattern.two_agent_tasks_in_a_row,
    "a_realtime_model_and_an_agent_task_that_fails": pattern.the_agent_task_fails,
}.items():
    _sentence = f"The same as `{_agent.__name__}`, and the model is a realtime model."
    _options = {**agent_scenarios[_agent], "model": ScriptedRealtimeModel}
    add_scenario(_name, _sentence, type(_name, (_agent,), {}), **_options)


@scenario(model=ScriptedRealtimeModel, until="Direct.on_enter gets Ada")
class a_realtime_model_and_on_enter_awaits_the_agent_task_itself(nested.on_enter_awaits_the_agent_task_itself):
    """on_enter awaits an AgentTask, without a reply, and the model is a realtime model."""


@scenario
async def a_realtime_model_and_an_agent_entered_by_update_agent() -> None:
    """The agent with the pattern is entered by session.update_agent(), and the model is a realtime model."""
    session = await start(Lobby(), model=ScriptedRealtimeModel)
    session.update_agent(Desk())
    await happens("Desk.on_enter goes on")


@scenario
async def a_realtime_model_and_the_user_speaks_again_afterwards() -> None:
    """When the pattern is through, the realtime model's next reply has a tool that awaits an AgentTask."""
    session = await start(Desk(), model=ScriptedRealtimeModel)
    await happens("Desk.on_enter goes on")
    await note("the user", reply(session, user_input="desk"))


@scenario(model=ScriptedRealtimeModel)
class an_agent_task_updates_its_realtime_session_when_it_has_completed(Desk):
    """A tool of the AgentTask completes it and then adds to its chat context, and the realtime model gets that."""

    class Task(Name):
        @function_tool
        async def give_name(self) -> None:
            complete(self, "Ada")
            chat_ctx = self.chat_ctx.copy()
            chat_ctx.add_message(role="user", content="with two a")
            await self.update_chat_ctx(chat_ctx)
            texts = [item.text_content for item in self.realtime_llm_session.chat_ctx.items if item.type == "message"]
            step(f"the model has {[text for text in texts if text == 'with two a']}")


@scenario
class a_realtime_agent_task_of_a_text_agent(Desk):
    """The pattern, and the AgentTask has a realtime model of its own."""

    class Task(Name):
        def __init__(self) -> None:
            super().__init__(llm=ScriptedRealtimeModel(script()))


@scenario(model=ScriptedRealtimeModel)
class a_text_agent_task_of_a_realtime_agent(Desk):
    """The pattern with a realtime model, and the AgentTask has a text model of its own."""

    class Task(Name):
        def __init__(self) -> None:
            super().__init__(llm=ScriptedLLM(script()))
