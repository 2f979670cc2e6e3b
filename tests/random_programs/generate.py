"""Generate a program from a seed: agents, their tools, and what each of their methods does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Action(NamedTuple):
    """What a method does: ``verb`` is a method of ``perform.Performance``, and ``inner`` what it is done with."""

    verb: str
    arguments: tuple[Any, ...] = ()
    inner: tuple[Action, ...] = ()

    def lines(self, indent: str = "") -> Iterator[str]:
        yield f"{indent}{self.verb}({', '.join(map(str, self.arguments))})"
        for action in self.inner:
            yield from action.lines(indent + "    ")


@dataclass
class AgentSpec:
    """An agent, or an AgentTask, whose tools are called by name in replies."""

    name: str
    is_task: bool
    on_enter: tuple[Action, ...] = ()
    on_exit: tuple[Action, ...] = ()
    on_user_turn_completed: tuple[Action, ...] = ()
    tools: dict[str, tuple[Action, ...]] = field(default_factory=dict)


@dataclass
class Program:
    seed: int
    aborts: bool  # whether anything in it may fail, be cancelled, interrupted or closed, or have a time-out
    agents: dict[str, AgentSpec]
    user: tuple[Action, ...]
    captures_run: bool = False  # whether the session is started with capture_run

    def __str__(self) -> str:
        lines = [f"seed {self.seed}" + (", started with capture_run" if self.captures_run else "")]
        for agent in self.agents.values():
            lines.append(f"{'AgentTask' if agent.is_task else 'Agent'} {agent.name}")
            methods = {name: getattr(agent, name) for name in ("on_enter", "on_exit", "on_user_turn_completed")}
            for name, does in {**methods, **agent.tools}.items():
                if does:
                    lines.append(f"    {name}")
                    lines += [line for action in does for line in action.lines(" " * 8)]
        return "\n".join([*lines, "the user", *(line for action in self.user for line in action.lines("    "))])


def generate(seed: int) -> Program:
    return _Generator(seed).program()


_SHORT, _LONG = (0, 0.1, 0.9, 3), (0.53, 4.07)  # seconds: of a sleep, of a time-out; never the same moment
_ALONE = ("complete", "fail", "drain", "say_until", "put", "get", "playout", "progress", "interrupt_first", "shutdown")
_MOST_AGENTS, _MOST_TOOLS, _MOST_ACTIONS, _DEEPEST = 6, 9, 40, 3


class _Generator:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._aborts = seed % 2 == 1
        self._taste: dict[str, float] = {}  # each program is fond of other verbs, so that what these do comes together
        self._many_calls, self._answers = (self._random.choice((0.2, 0.8)) for _ in range(2))
        self._agents: dict[str, AgentSpec] = {}
        self._tools = 0
        self._actions = 0

    def program(self) -> Program:
        first = self._agent(is_task=False)
        user = tuple(self._user_turn(first) for _ in range(self._random.randint(1, 3)))
        return Program(self._seed, self._aborts, self._agents, user, self._random.random() < 0.05)

    def _one_of(self, weights: dict[str, float]) -> str:
        return self._random.choices(list(weights), list(weights.values()))[0]

    def _agent(self, *, is_task: bool) -> AgentSpec:
        agent = AgentSpec(f"{'Task' if is_task else 'Agent'}{len(self._agents) + 1}", is_task)
        self._agents[agent.name] = agent
        for _ in range(1 + (self._random.random() < self._many_calls)):
            self._tool(agent)
        if self._random.random() < 0.7:
            agent.on_enter = self._body(agent, "on_enter")
        if self._random.random() < 0.15:
            agent.on_exit = self._body(agent, "on_exit")
        if self._random.random() < 0.15:
            agent.on_user_turn_completed = self._body(agent, "on_user_turn_completed")
        if is_task and self._random.random() < self._answers and not _completes(agent):
            sleep = Action("sleep", (self._random.choice(_SHORT),))
            agent.on_enter = (*agent.on_enter, sleep, Action("complete"))
        return agent

    def _tool(self, agent: AgentSpec) -> str:
        self._tools += 1
        name = f"tool{self._tools}"
        agent.tools[name] = ()
        agent.tools[name] = self._body(agent, "tool")
        if agent.is_task and self._random.random() < 0.6:
            agent.tools[name] += (Action("complete"),)
        if self._random.random() < 0.1 and len(self._agents) < _MOST_AGENTS:
            agent.tools[name] += (Action("return_agent", (self._agent(is_task=False).name,)),)
        return name

    def _user_turn(self, agent: AgentSpec) -> Action:
        kind = self._one_of({"reply": 6, "turn": 1, "run": 1.5, "sleep": 1.5, "update_agent": 1, "other_session": 0.5})
        if kind == "run":
            return Action("run", (self._some_tools(agent),))
        if kind == "sleep":
            return Action("sleep", (self._random.choice(_SHORT),))
        if kind in ("update_agent", "other_session") and len(self._agents) < _MOST_AGENTS:
            return Action(kind, (self._agent(is_task=False).name,))
        # whatever agent it reaches, the tools of which it has
        agent = self._random.choice([agent, agent, *self._agents.values()])
        if kind == "turn":
            return Action("turn", (self._some_tools(agent),))
        return Action("reply", (self._some_tools(agent), self._random.choice(("awaited", "unawaited", "later"))))

    def _some_tools(self, agent: AgentSpec) -> str:
        """Return which tools the model calls, by their names; none of them for a reply that only speaks."""
        many = self._random.choices((0, 1, 2), (1, 8, 10 * self._many_calls))[0]
        names = list(agent.tools)
        return " ".join(self._random.sample(names, min(many, len(names))))

    def _body(self, agent: AgentSpec, method: str, depth: int = 0) -> tuple[Action, ...]:
        many = self._random.choices((1, 2, 3), (6, 3, 1))[0]
        return tuple(self._action(agent, method, depth) for _ in range(many))

    def _action(self, agent: AgentSpec, method: str, depth: int) -> Action:
        self._actions += 1
        weights: dict[str, float] = {"sleep": 2, "say": 1, "set_event": 0.4, "wait_for_event": 0.15, "say_until": 0.2}
        if self._actions < _MOST_ACTIONS and depth < _DEEPEST:
            weights.update(reply=5, await_handle=0.5, run=0.2, update_agent=0.4)
            weights.update(agent_task=6 if method == "tool" else 1 if method != "on_exit" else 0.5)
            weights.update(dict.fromkeys(("gather", "helper", "wait", "in_lock"), 0.8))
            weights.update(dict.fromkeys(("shield", "as_completed", "task_group", "first", "wait_a_while"), 0.4))
            weights.update(wait_for=0.4, twice_in_lock=0.05, put=0.4, get=0.1)
            weights.update(dict.fromkeys(("in_lock_of_manager", "in_lock_of_stack", "in_lock_of_generator"), 0.3))
            weights.update(dict.fromkeys(("out_of_lock", "in_condition", "in_semaphore", "callback", "eager"), 0.3))
            weights.update(dict.fromkeys(("anyio_group", "generator", "foreground"), 0.3))
            if method == "tool":
                weights.update(playout=0.3, progress=0.2)
            if self._aborts:
                weights.update(dict.fromkeys(("give_up", "time_out", "cancel_later"), 0.8))
                weights.update(fail=0.3, interrupt=0.3, interrupt_first=0.2, close=0.3, drain=0.2, shutdown=0.1)
        if len(self._agents) >= _MOST_AGENTS:
            weights.pop("agent_task", None)
            weights.pop("update_agent", None)
        if agent.is_task:
            weights["complete"] = 0.5
        for verb in weights:
            weights[verb] *= self._taste.setdefault(verb, self._random.choice((0.2, 1, 1, 5)))
        verb = self._one_of(weights)
        return getattr(self, f"_{verb}", self._plain)(verb, agent, method, depth)

    def _plain(self, verb: str, agent: AgentSpec, method: str, depth: int) -> Action:
        arguments: tuple[Any, ...]
        if verb in _ALONE:
            return Action(verb)
        if verb in ("say", "interrupt"):  # and whether it can't be interrupted, or does it by force
            arguments = (self._random.choice(("awaited", "awaited", "unawaited")), self._random.random() < 0.3)
            return Action(verb, arguments)
        if verb in ("await_handle", "close"):
            return Action(verb, (self._random.choice(("awaited", "awaited", "unawaited")),))
        if verb in ("set_event", "wait_for_event"):
            return Action(verb, (self._random.randrange(2),))
        if verb == "sleep":
            return Action(verb, (self._random.choice(_SHORT),))
        arguments = ()
        if verb in ("give_up", "time_out", "cancel_later", "wait_a_while"):
            arguments = (round(self._random.choice(_LONG) + self._actions / 1000, 3),)
        if "in_lock" in verb or verb == "out_of_lock":
            arguments = (self._random.randrange(2),)
        many = 2 if verb in ("gather", "wait", "first", "as_completed", "task_group", "anyio_group") else 1
        return Action(verb, arguments, tuple(self._action(agent, method, depth + 1) for _ in range(many)))

    def _reply(self, verb: str, agent: AgentSpec, method: str, depth: int) -> Action:
        tools = ""
        if self._tools < _MOST_TOOLS and self._random.random() < 0.7:
            tools = self._tool(agent)
        elif method != "tool":  # a tool that calls itself would go on for ever
            tools = self._some_tools(agent)
        return Action("reply", (tools, self._random.choice(("awaited", "awaited", "awaited", "unawaited", "later"))))

    def _run(self, verb: str, agent: AgentSpec, method: str, depth: int) -> Action:
        tools = self._tool(agent) if self._tools < _MOST_TOOLS else ""
        return Action("run", (tools,))

    def _agent_task(self, verb: str, agent: AgentSpec, method: str, depth: int) -> Action:
        return Action("agent_task", (self._agent(is_task=True).name,))

    def _update_agent(self, verb: str, agent: AgentSpec, method: str, depth: int) -> Action:
        return Action("update_agent", (self._agent(is_task=False).name,))


def _completes(agent: AgentSpec) -> bool:
    def any_of(actions: tuple[Action, ...]) -> bool:
        return any(action.verb == "complete" or any_of(action.inner) for action in actions)

    return any(map(any_of, (agent.on_enter, *agent.tools.values())))
