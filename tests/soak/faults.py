"""``python -m soak.faults``: a fault at every await point of the handoff and of the way back, one after the other.

Each fault has a session, an event loop and, with ``--loops``, a thread of its own. What came of it is compared between
releases, so everything in it is put in words that are the same on all of them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import heapq
import inspect
import itertools
import logging
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Coroutine, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Callable

from livekit.agents import Agent, AgentSession, AgentTask, function_tool
from livekit.agents.voice.agent_activity import AgentActivity

from onenter_deadlock_fix.verify.scripted_model import ScriptedLLM

from .conversation import calls
from .report import environment, parser, report

# Where the AgentTask is awaited that meets the fault.
PLACES = (
    "tool",  # of a reply that on_enter awaits: the pattern
    "tool that tries again",  # and awaits another AgentTask after an exception
    "nested tool",  # the pattern in an AgentTask that the pattern has handed over to
    "on_enter",
)
# What raises, before or after it has done its work, at each of its calls from the handoff to the way back.
FUNCTIONS = {
    AgentSession: ("_update_activity",),
    AgentActivity: (
        "pause",
        "_pause_scheduling_task",
        "_close_session",
        "start",
        "_start_session",
        "drain",
        "aclose",
        "resume",
        "_resume_scheduling_task",
    ),
}
OF_THE_AGENT_TASK = ("on_enter", "on_enter late", "on_exit", "complete")
FOR_EVER = "waits for ever"
QUIET = 0.1  # seconds; livekit-agents has no timer as short as that on the ways that are gone here


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and where: ``point`` is an await point's number, or says which call of a function it is."""

    place: str
    kind: str
    point: int | tuple[str, int] = 0

    def __str__(self) -> str:
        if not self.point:
            return f"{self.place}: {self.kind}"
        point = self.point if isinstance(self.point, int) else "{}, call {}".format(*self.point)
        return f"{self.place}: {self.kind}, {point}"


NO_FAULT = Fault("tool", "none")


class Injected(Exception):
    """The exception that is injected."""


class Play:
    """One run of a session that meets a fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.calls_on_the_way: dict[str, int] = {}
        self.points: list[str] = []  # where the handoff was suspended, by the names of the library's functions
        self.ends: dict[str, str] = {}  # how what awaited the AgentTask ended, and on_enter
        self.session: AgentSession[Play] = AgentSession(llm=ScriptedLLM(calls("work")), userdata=self)
        self.over = asyncio.Event()  # on_enter has ended
        self.calls: Counter[str] | None = None  # of functions that can raise, since the handoff began
        self._tasks: list[asyncio.Task[None]] = []

    async def watch(self, name: str, awaitable: Awaitable[Any]) -> Any:
        """Await, and note how that ended."""
        self.ends[name] = FOR_EVER
        try:
            result = await awaitable
        except asyncio.CancelledError:
            self.ends[name] = "was cancelled"
            raise
        except BaseException as error:
            self.ends[name] = f"raised {type(error).__name__}: {error}"
            raise
        self.ends[name] = f"returned {result!r}"
        return result

    async def hand_over(self) -> Any:
        """Await the AgentTask that meets the fault."""
        self.calls = Counter()
        try:
            return await self.watch("await", _Suspended(Victim(), self._at))
        finally:
            self.calls_on_the_way = dict(self.calls)

    def number(self, function: str) -> int | None:
        """Return which call of the function since the handoff began this is, or None before it did."""
        if self.calls is None:
            return None
        self.calls[function] += 1
        return self.calls[function]

    def _at(self, where: str) -> BaseException | None:
        """Note an await point, have happen what happens there, and return what is to be raised when it is over."""
        self.points.append(where)
        if len(self.points) != self.fault.point:
            return None
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        if self.fault.kind == "cancel":
            loop.call_soon(task.cancel)
        elif self.fault.kind == "close":
            loop.call_soon(lambda: self._tasks.append(loop.create_task(self.session.aclose())))
        elif self.fault.kind == "update_agent":
            loop.call_soon(self.session.update_agent, Agent(instructions=""))
        elif self.fault.kind == "cancel late":
            return asyncio.CancelledError()
        elif self.fault.kind == "raise":
            return Injected("at an await point")
        return None


class _Suspended:
    """Awaits something, reports each point where that is suspended, and raises there what the report returns."""

    def __init__(self, awaitable: Awaitable[Any], report: Callable[[str], BaseException | None]) -> None:
        self._awaitable = awaitable
        self._report = report

    def __await__(self) -> Generator[Any, Any, Any]:
        awaited = self._awaitable.__await__()
        go_on: Callable[[], Any] = functools.partial(next, awaited)
        while True:
            try:
                future = go_on()
            except StopIteration as stop:
                return stop.value
            to_raise = self._report(_where(awaited))
            try:
                sent = yield future
            except BaseException as error:
                to_raise = error
            if to_raise is None:
                go_on = functools.partial(awaited.send, sent)
            else:
                go_on = functools.partial(awaited.throw, to_raise)


def _where(awaited: Any) -> str:
    """Return the names of the activity's coroutines that are suspended, outermost first."""
    names = []
    coroutine = next(filter(inspect.iscoroutine, gc.get_referents(awaited)), None)
    while inspect.iscoroutine(coroutine):
        frame = coroutine.cr_frame
        if frame is not None and frame.f_globals["__name__"] == AgentActivity.__module__:
            names.append(frame.f_code.co_name)
        coroutine = coroutine.cr_await
    return " > ".join(names)


class FrontDesk(Agent):
    """Meets the fault in on_enter, or in a tool of a reply that on_enter awaits."""

    def __init__(self, play: Play) -> None:
        super().__init__(instructions="")
        self._play = play

    async def on_enter(self) -> None:
        try:
            await self._play.watch("on_enter", self._enter())
        finally:
            self._play.over.set()

    async def _enter(self) -> None:
        if self._play.fault.place == "on_enter":
            await self._play.hand_over()
        else:
            await self.session.generate_reply()

    @function_tool
    async def work(self) -> str:
        await self._play.watch("tool", self._work())
        return "done"

    async def _work(self) -> None:
        if self._play.fault.place == "nested tool":
            await Outer()
            return
        try:
            await self._play.hand_over()
        except Exception:
            if self._play.fault.place != "tool that tries again":
                raise
            await Victim()


class Outer(AgentTask[str]):
    """Has the pattern within the pattern, and completes whatever comes of it."""

    def __init__(self) -> None:
        super().__init__(instructions="", llm=ScriptedLLM(calls("go_deeper")))

    async def on_enter(self) -> None:
        try:
            await self.session.generate_reply()
        finally:
            if not self.done():
                self.complete("outer")

    @function_tool
    async def go_deeper(self) -> str:
        await self.session.userdata.hand_over()
        return "done"


class Victim(AgentTask[str]):
    """The AgentTask that meets the fault. It has its hooks suspended once, as real ones are."""

    def __init__(self) -> None:
        super().__init__(instructions="", llm=ScriptedLLM(calls("finish")))

    async def on_enter(self) -> None:
        self._raise("on_enter")
        await asyncio.sleep(0)
        self.session.generate_reply()
        self._raise("on_enter late")

    async def on_exit(self) -> None:
        await asyncio.sleep(0)
        self._raise("on_exit")

    @function_tool
    async def finish(self) -> None:
        try:
            self._raise("complete")
        except Injected as error:
            self.complete(error)
        else:
            self.complete("victim")

    def _raise(self, function: str) -> None:
        play = self.session.userdata
        if play.number(function) == 1 and play.fault.kind == function:
            raise Injected(f"in {function}")


def inject() -> None:
    """Have the library's functions raise where a play asks for it. For good: this is a process of its own."""
    for owner, names in FUNCTIONS.items():
        for name in names:
            setattr(owner, name, _raising(getattr(owner, name), name))


def _raising(function: Callable[..., Coroutine[Any, Any, Any]], name: str) -> Any:
    @functools.wraps(function)
    async def raising(self: AgentActivity | AgentSession[Play], *args: Any, **kwargs: Any) -> Any:
        session = self if isinstance(self, AgentSession) else self._session
        number = session.userdata.number(name)
        if session.userdata.fault == Fault(session.userdata.fault.place, "raise before", (name, number)):
            raise Injected(f"before {name}")
        result = await function(self, *args, **kwargs)
        if session.userdata.fault == Fault(session.userdata.fault.place, "raise after", (name, number)):
            raise Injected(f"after {name}")
        return result

    return raising


_collecting = threading.Lock()


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that keeps its tasks, and in which one can see whether anything still moves."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[asyncio.Task[Any]] = []
        self.unhandled: list[str] = []
        self._scheduled_soon = 0
        self.set_task_factory(self._new_task)
        self.set_exception_handler(self._note)

    def call_soon(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        self._scheduled_soon += 1
        return super().call_soon(*args, **kwargs)

    async def quiet(self) -> None:
        """Wait until nothing moves any more. A loop that gets no processor time moves."""
        before = -2
        while self._scheduled_soon > before + 1:  # 1: the end of the sleep
            before = self._scheduled_soon
            await asyncio.sleep(QUIET)

    async def done(self, awaitable: Awaitable[Any]) -> bool:
        """Wait until it is done, or until nothing moves any more. Return whether it is done."""
        future, quiet = asyncio.ensure_future(awaitable), asyncio.ensure_future(self.quiet())
        await asyncio.wait([future, quiet], return_when=asyncio.FIRST_COMPLETED)
        quiet.cancel()
        await asyncio.wait([quiet])
        if future.done() and not future.cancelled():
            future.exception()  # has been seen
        return future.done()

    def left(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that are not done, but for the running one."""
        return [task for task in self.tasks if not task.done() and task is not asyncio.current_task(self)]

    def forget(self) -> None:
        """Let go of the tasks that are done, so that asyncio tells of exceptions that nobody has seen."""
        self.tasks = self.left()
        # asyncio keeps cancelled timers, and the activities in their contexts, behind one that is due earlier
        self._scheduled = [timer for timer in self._scheduled if not timer.cancelled()]
        heapq.heapify(self._scheduled)
        with _collecting:
            gc.collect()

    def end(self) -> None:
        """Cancel what is left until nothing is, and close."""
        self.set_exception_handler(lambda *_: None)
        for _ in range(10):
            for task in self.left():
                task.cancel()
            self.run_until_complete(asyncio.sleep(0.01))
        self.close()

    def _new_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **kwargs)
        self.tasks.append(task)
        return task

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.unhandled.append(f"{context['message']}: {context.get('exception')!r}")


async def _play(fault: Fault, loop: _Loop) -> dict[str, Any]:
    play = Play(fault)
    await loop.done(play.session.start(FrontDesk(play)))
    await loop.quiet()
    outcome: dict[str, Any] = {
        "points": play.points,
        "calls": play.calls_on_the_way,
        **play.ends,
        "agent": type(play.session._agent).__name__,
        "answers": await loop.done(_answer(play.session)),
        "closes": await loop.done(play.session.aclose()),
    }
    # what came to an end only by that
    outcome.update((f"{name} in the end", end) for name, end in play.ends.items() if end != outcome[name])
    outcome["tasks left"] = sorted(map(_name, loop.left()))

    another = Play(NO_FAULT)
    await loop.done(another.session.start(FrontDesk(another)))
    await loop.done(another.over.wait())
    outcome["another works"] = another.ends == {
        "on_enter": "returned None",
        "tool": "returned None",
        "await": "returned 'victim'",
    }
    outcome["another closes"] = await loop.done(another.session.aclose())
    return outcome


async def _answer(session: AgentSession[Play]) -> None:
    await session.generate_reply(user_input="Hello?", tool_choice="none")


def _name(task: asyncio.Task[Any]) -> str:
    coroutine: Any = task.get_coro()
    return str(coroutine.__qualname__)


def play(fault: Fault) -> dict[str, Any]:
    """Play a fault in an event loop of its own and return what came of it."""
    loop = _Loop()
    asyncio.set_event_loop(loop)
    try:
        outcome = loop.run_until_complete(_play(fault, loop))
        loop.forget()
        return {**outcome, "unhandled": sorted(loop.unhandled)}
    finally:
        loop.end()
        asyncio.set_event_loop(None)


def faults(places: Iterable[str]) -> Iterator[Fault]:
    """Yield no fault and then every one, the await points and the calls being those of the installed release."""
    for place in places:
        yield Fault(place, "none")
        whole = play(Fault(place, "none"))
        if place != "tool that tries again":
            for kind in ("cancel", "cancel late", "close", "update_agent"):
                for point in range(len(whole["points"])):
                    yield Fault(place, kind, point + 1)
        for point in range(len(whole["points"])):
            yield Fault(place, "raise", point + 1)
        for kind in ("raise before", "raise after"):
            for name in itertools.chain(*FUNCTIONS.values()):
                for call in range(whole["calls"].get(name, 0)):
                    yield Fault(place, kind, (name, call + 1))
        for kind in OF_THE_AGENT_TASK:
            yield Fault(place, kind)


def play_all(places: Iterable[str], loops: int) -> dict[str, Any]:
    """Play every fault, in as many threads at once, and return what came of each."""
    logging.getLogger("livekit.agents").setLevel(logging.CRITICAL)  # it logs every exception that it sees
    inject()
    gc.disable()  # so that each loop hears of its own exceptions, and at the same time in every run
    gc.freeze()  # the libraries are not what is collected time and again
    with concurrent.futures.ThreadPoolExecutor(loops) as threads:
        every = list(faults(places))
        outcomes = dict(zip(map(str, every), threads.map(play, every)))
    return {**environment(), "outcomes": outcomes}


def worse(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return every fault of which something else came. Whether that is worse is for people to say."""
    if ours["outcomes"].keys() != theirs["outcomes"].keys():
        return [f"other faults: {sorted(ours['outcomes'].keys() ^ theirs['outcomes'].keys())}"]
    return [
        f"{fault}: {name} is {outcome.get(name)!r}, not {theirs['outcomes'][fault].get(name)!r}"
        for fault, outcome in ours["outcomes"].items()
        for name in outcome.keys() | theirs["outcomes"][fault].keys()
        if outcome.get(name) != theirs["outcomes"][fault].get(name)
    ]


def main() -> int:
    arguments = parser("python -m soak.faults", __doc__)
    arguments.add_argument("--loops", type=int, default=4, help="event loops at once, each in a thread of its own")
    arguments.add_argument("--places", nargs="+", choices=PLACES, default=PLACES, help="where to have them; all")
    asked = arguments.parse_args()
    return report(play_all(asked.places, asked.loops), asked.no_worse_than, worse)


if __name__ == "__main__":
    sys.exit(main())
