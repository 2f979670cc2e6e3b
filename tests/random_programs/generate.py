"""Generate a program from a seed: agents, their tools, and what each of their methods does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Action(NamedTuple):
    """What a method does: ``verb`` is one of ``perform``'s, and ``inner`` what it is done with."""

    verb: str
    arguments: tuple[Any, ...] = ()
    inner: tuple[Action, ...] = ()

    def __str__(self) -> str:
        return f"{self.verb}({', '.join(map(str, self.arguments))})"

    def lines(self, indent: str = "") -> Iterator[str]:
        yield f"{indent}{self}"
        for action in self.inner:
            yield from action.lines(indent + "    ")


@dataclass
class AgentSpec:
    """An agent, or an AgentTask: what its methods do, and its tools, which are called by name in replies."""

    name: str
    is_task: bool
    methods: dict[str, tuple[Action, ...]] = field(default_factory=dict)
    tools: dict[str, tuple[Action, ...]] = field(default_factory=dict)


@dataclass
class Program:
    agents: dict[str, AgentSpec]
    user: tuple[Action, ...]

    def __str__(self) -> str:
        lines = []
        for agent in self.agents.values():
            lines.append(f"{'AgentTask' if agent.is_task else 'Agent'} {agent.name}")
            for name, does in {**agent.methods, **agent.tools}.items():
                lines.append(f"    {name}")
                lines += [line for action in does for line in action.lines(" " * 8)]
        return "\n".join([*lines, "the user", *(line for action in self.user for line in action.lines("    "))])


_MOST_AGENTS, _MOST_TOOLS, _MOST_ACTIONS, _DEEPEST = 6, 9, 40, 3
_SHORT, _LONG = (0, 0.1, 0.9, 3), (0.53, 4.07)  # seconds: of a sleep, of a time-out; never the same moment
_HOW, _NUMBER = ("awaited", "awaited", "unawaited"), (0, 1)
_IN_LOCK = ("in_lock", "twice_in_lock", "in_lock_of_manager", "in_lock_of_generator")

# How often a verb is used: always; while there is room for more; by a tool; and where anything may be aborted.
_ALWAYS = {"sleep": 2, "say": 1, "set_event": 0.4, "wait_for_event": 0.15, "say_until": 0.2}
_AT_FIRST = {
    **{"reply": 5, "await_handle": 0.5, "run": 0.2, "update_agent": 0.4, "agent_task": 1, "twice_in_lock": 0.05},
    **dict.fromkeys(("gather", "helper", "wait", "in_lock"), 0.8),
    **dict.fromkeys(("shield", "as_completed", "task_group", "first", "wait_a_while", "wait_for"), 0.4),
    **dict.fromkeys(("in_lock_of_manager", "in_lock_of_generator", "out_of_lock"), 0.3),
    **dict.fromkeys(("in_condition", "in_semaphore", "foreground"), 0.3),
}
_OF_A_TOOL = {"agent_task": 6, "playout": 0.3, "progress": 0.2}
_ABORTING = {
    **{"give_up": 1.6, "cancel_later": 0.8, "fail": 0.3, "interrupt": 0.3, "interrupt_first": 0.2},
    **{"close": 0.3, "drain": 0.2, "shutdown": 0.1},
}
_OF_THE_USER = {"reply": 6, "run": 1.5, "sleep": 1.5, "update_agent": 1, "other_session": 0.5}
# What each argument of a verb is chosen from; say and interrupt: and whether it can't be interrupted, or is by force.
_ARGUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    **{"sleep": (_SHORT,), "set_event": (_NUMBER,), "wait_for_event": (_NUMBER,), "close": (_HOW,)},
    **dict.fromkeys(("say", "interrupt"), (_HOW, (False, False, True))),
    **dict.fromkeys(("give_up", "cancel_later", "wait_a_while"), (_LONG,)),
    **dict.fromkeys((*_IN_LOCK, "out_of_lock"), (_NUMBER,)),
}
# How many actions a verb is done with.
_INNER = {
    **dict.fromkeys(("gather", "wait", "first", "as_completed", "task_group"), 2),
    **dict.fromkeys(("helper", "shield", "wait_a_while", "wait_for", "give_up", "cancel_later", "foreground"), 1),
    **dict.fromkeys((*_IN_LOCK, "out_of_lock", "in_condition", "in_semaphore"), 1),
}


class Generator:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._aborts = seed % 2 == 1  # whether anything may fail, be cancelled, interrupted, closed, or time out
        self._taste: dict[str, float] = {}  # each program prefers other verbs, so that what these do comes together
        self._many_calls, self._answers = (self._random.choice((0.2, 0.8)) for _ in range(2))
        self._agents: dict[str, AgentSpec] = {}
        self._tools = 0
        self._actions = 0

    def program(self) -> Program:
        first = self._agent(is_task=False)
        user = tuple(self._user_turn(first) for _ in range(self._random.randint(1, 3)))
        return Program(self._agents, user)

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _one_of(self, weights: dict[str, float]) -> str:
        return self._random.choices(list(weights), list(weights.values()))[0]

    def _agent(self, *, is_task: bool) -> AgentSpec:
        agent = AgentSpec(f"{'Task' if is_task else 'Agent'}{len(self._agents) + 1}", is_task)
        self._agents[agent.name] = agent
        for _ in range(1 + self._chance(self._many_calls)):
            self._tool(agent)
        for method, probability in (("on_enter", 0.7), ("on_exit", 0.15)):
            if self._chance(probability):
                agent.methods[method] = self._body(agent, method)
        if is_task and self._chance(self._answers):
            sleep = Action("sleep", (self._random.choice(_SHORT),))
            agent.methods["on_enter"] = (*agent.methods.get("on_enter", ()), sleep, Action("complete"))
        return agent

    def _tool(self, agent: AgentSpec) -> str:
        self._tools += 1
        name = f"tool{self._tools}"
        agent.tools[name] = ()
        agent.tools[name] = self._body(agent, "tool")
        if agent.is_task and self._chance(0.6):
            agent.tools[name] += (Action("complete"),)
        if self._chance(0.1) and len(self._agents) < _MOST_AGENTS:
            agent.tools[name] += (Action("return_agent", (self._agent(is_task=False).name,)),)
        return name

    def _user_turn(self, agent: AgentSpec) -> Action:
        verb = self._one_of(_OF_THE_USER)
        if verb == "sleep":
            return Action(verb, (self._random.choice(_SHORT),))
        if verb in ("update_agent", "other_session") and len(self._agents) < _MOST_AGENTS:
            return Action(verb, (self._agent(is_task=False).name,))
        # whatever agent it reaches, the tools of which it has
        tools = self._some_tools(self._random.choice([agent, agent, *self._agents.values()]))
        if verb == "run":
            return Action(verb, (tools,))
        return Action("reply", (tools, self._random.choice(("awaited", "unawaited", "later"))))

    def _some_tools(self, agent: AgentSpec) -> str:
        """Return which tools the model calls, by their names; none of them for a reply that only speaks."""
        many = self._random.choices((0, 1, 2), (1, 8, 10 * self._many_calls))[0]
        return " ".join(self._random.sample(list(agent.tools), min(many, len(agent.tools))))

    def _body(self, agent: AgentSpec, method: str) -> tuple[Action, ...]:
        many = self._random.choices((1, 2, 3), (6, 3, 1))[0]
        return tuple(self._action(agent, method, 0) for _ in range(many))

    def _action(self, agent: AgentSpec, method: str, depth: int) -> Action:
        self._actions += 1
        weights: dict[str, float] = dict(_ALWAYS)
        if self._actions < _MOST_ACTIONS and depth < _DEEPEST:
            weights.update(_AT_FIRST)
            weights.update(_OF_A_TOOL if method == "tool" else {})
            weights.update(_ABORTING if self._aborts else {})
        if len(self._agents) >= _MOST_AGENTS:
            weights.pop("agent_task", None)
            weights.pop("update_agent", None)
        if agent.is_task:
            weights["complete"] = 0.5
        for verb in weights:
            weights[verb] *= self._taste.setdefault(verb, self._random.choice((0.2, 1, 1, 5)))
        verb = self._one_of(weights)
        if verb == "reply":
            tools = ""
            if self._tools < _MOST_TOOLS and self._chance(0.7):
                tools = self._tool(agent)
            elif method != "tool":  # a tool that calls itself would go on for ever
                tools = self._some_tools(agent)
            return Action(verb, (tools, self._random.choice(("awaited", *_HOW, "later"))))
        if verb == "run":
            return Action(verb, (self._tool(agent) if self._tools < _MOST_TOOLS else "",))
        if verb in ("agent_task", "update_agent"):
            return Action(verb, (self._agent(is_task=verb == "agent_task").name,))
        arguments = tuple(map(self._random.choice, _ARGUMENTS.get(verb, ())))
        if arguments and arguments[0] in _LONG:
            arguments = (round(arguments[0] + self._actions / 1000, 3),)
        inner = tuple(self._action(agent, method, depth + 1) for _ in range(_INNER.get(verb, 0)))
        return Action(verb, arguments, inner)
