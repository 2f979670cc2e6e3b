"""A deadlock among objects whose methods note that they are called, and raise."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import types
from collections.abc import Awaitable, Generator
from typing import Any, Callable

import wrapt
from cast import Ask, Desk, Lobby, Name, some_time, start
from livekit.agents import Agent, function_tool

from .deadlocks import hang, waiting_for

calls: list[str] = []  # of methods of odd objects, while it matters

SPECIAL = (
    *("__eq__", "__ne__", "__lt__", "__hash__", "__bool__", "__len__", "__repr__", "__str__", "__format__", "__dir__"),
    *("__iter__", "__next__", "__contains__", "__getitem__", "__call__", "__await__", "__aiter__", "__anext__"),
    *("__enter__", "__exit__", "__aenter__", "__aexit__", "__int__", "__index__", "__reduce_ex__", "__instancecheck__"),
)


def odd_method(name: str) -> Callable[..., Any]:
    """Return a method that notes that it is called, and raises."""

    def method(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        raise RuntimeError(name)

    return method


def make_odd(cls: type, *names: str) -> None:
    """Have methods of a class note that they are called, and do as they do."""

    def noting(name: str, inherited: Any) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return inherited(self, *args, **kwargs)

        return method

    for name in names:
        setattr(cls, name, noting(name, getattr(cls, name, None)))  # some are new in later Pythons


OddStr: Any = type("OddStr", (str,), {name: odd_method(f"str.{name}") for name in (*SPECIAL, "startswith")})
OddType: Any = type(
    "OddType",
    (type,),
    {
        **{name: odd_method(f"type.{name}") for name in (*SPECIAL, "__getattribute__", "__subclasscheck__")},
        **{name: property(odd_method(f"type.{name}")) for name in ("__name__", "__module__", "__mro__")},
    },
)


def odd_objects() -> list[Any]:
    def function(*_: Any) -> None:
        """Its name is odd."""

    function.__qualname__ = function.__name__ = OddStr("function")
    function.__module__ = OddStr("module")
    bodies: list[dict[str, Any]] = [{name: odd_method(name)} for name in (*SPECIAL, "__getattr__", "__getattribute__")]
    bodies += [
        {name: odd_method(name) for name in (*SPECIAL, "__getattribute__")},
        {"__class__": property(odd_method("__class__"))},
    ]
    classes = [*(type("Odd", (), body) for body in bodies), type.__new__(OddType, "Odd", (), {})]
    return [*map(object.__new__, classes), wrapt.LazyObjectProxy(odd_method("evaluated")), function]


async def _checked() -> list[str]:
    """Return which odd methods are called while detection checks several times."""
    calls.clear()  # what livekit-agents, asyncio and the program itself have called
    await asyncio.sleep(1)
    return sorted(set(calls))


async def everywhere() -> list[str]:
    """Odd objects are wherever a check reads something."""
    odds = odd_objects()
    loop = asyncio.get_running_loop()

    class OddDesk(Desk):
        def __init__(self) -> None:
            super().__init__(self.wait_oddly)
            vars(self).update({f"odd{number}": odd for number, odd in enumerate(odds)})

        async def wait_oddly(self, _: Desk) -> None:
            tool, result = asyncio.current_task(), loop.create_future()
            assert tool
            for odd in odds:
                for callback in _callbacks(odd):
                    tool.add_done_callback(callback)
            result.set_result(odds[0])
            others = (_suspended(odd) for odd in odds)
            await asyncio.gather(result, _await_behind(odds, self._reply()), *others, return_exceptions=True)

        async def _reply(self) -> None:
            handle = self.session.generate_reply(user_input="collect", tool_choice="auto")
            for odd in odds:
                handle._done_fut.add_done_callback(odd)
                with contextlib.suppress(Exception):
                    handle.add_done_callback(odd)  # which hashes it
            await handle

    others = []
    for odd in odds:
        contextvars.ContextVar[Any]("odd").set(odd)
        loop.call_later(3600, odd, odd)
        waiting = loop.create_future()
        waiting.add_done_callback(odd)
        others += [asyncio.ensure_future(other) for other in (_suspended(odd), waiting_for(waiting), _in_blocks(odd))]
        others[-1].add_done_callback(odd)
    session: Any = await hang(OddDesk())
    session.userdata = odds[0]
    return await _checked()


def _callbacks(odd: Any) -> list[Any]:
    append = list[Any]().append
    callbacks = [odd, functools.partial(append, odd), types.MethodType(append, odd), lambda _: append(odd)]
    return [*callbacks, functools.partial(odd, odd, odd=odd)] if callable(odd) else callbacks


async def _await_behind(odds: list[Any], awaitable: Awaitable[Any]) -> None:
    """Await something in functions with an odd object in a variable each."""
    local, *others = odds
    await (_await_behind(others, awaitable) if others else awaitable)
    calls.append(local)


async def _suspended(odd: Any) -> Any:
    await asyncio.Event().wait()
    return odd


async def _in_blocks(odd: Any) -> None:
    @contextlib.asynccontextmanager
    async def block() -> Any:
        local = odd
        yield local

    async with contextlib.AsyncExitStack() as stack, block():
        with contextlib.suppress(Exception):
            stack.push(odd)
        stack.callback(lambda: odd)
        stack.push_async_exit(types.MethodType(lambda *_: None, odd))
        await asyncio.Event().wait()


class OddFuture(asyncio.Future):  # type: ignore[type-arg]
    """A future whose methods are odd once it is awaited."""


class OddAwaitable:
    """An iterator that is neither a coroutine nor a generator, and holds the coroutine that awaits it."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future, self.awaited_by = future, waiting_for(self)

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def __next__(self) -> Any:
        self.future._asyncio_future_blocking = True
        return self.future

    __getattr__ = odd_method("awaitable.__getattr__")


@types.coroutine
def _generator() -> Generator[Any, Any, None]:
    """A coroutine that is a generator, and awaits an odd future."""
    yield from OddFuture().__await__()


async def odd_futures() -> list[str]:
    """The tool that is deadlocked awaits futures, locks and semaphores of own classes, and so do others."""

    class OddLock(asyncio.Lock):
        """A lock whose methods are odd once it is waited for."""

    class OddSemaphore(asyncio.Semaphore):
        __getattr__ = odd_method("semaphore.__getattr__")

    class AsksTask(asyncio.Task):  # type: ignore[type-arg]
        __getattr__ = odd_method("task.__getattr__")

    loop = asyncio.get_running_loop()

    async def acquire(lock: Any) -> None:
        async with lock, lock:
            pass

    async def wait(desk: Desk) -> None:
        inner, odd = asyncio.ensure_future(desk.inner()), OddAwaitable(loop.create_future())
        locks = (acquire(OddLock()), acquire(OddSemaphore()))
        await asyncio.gather(inner, OddFuture(), odd.awaited_by, waiting_for(OddFuture()), *locks)

    waiting = asyncio.wait([OddFuture()], return_when=asyncio.FIRST_COMPLETED)
    others = [waiting_for(OddFuture()), waiting_for(OddAwaitable(OddFuture())), _generator(), waiting]
    tasks = [*map(asyncio.ensure_future, others), asyncio.shield(OddFuture())]
    tasks.append(AsksTask(asyncio.sleep(3600), loop=loop))
    await hang(Desk(wait))
    make_odd(OddFuture, "done", "result", "cancelled", "exception", "get_loop", "__hash__", "__eq__", "__repr__")
    make_odd(OddLock, "__getattribute__")
    called = await _checked()
    assert not any(map(asyncio.Future.done, tasks))
    return called


async def odd_tasks() -> list[str]:
    """Each task is of a class of the program's, by a task factory."""

    class OddTask(asyncio.Task):  # type: ignore[type-arg]
        """A task whose methods are odd once it hangs."""

    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coro, **options: OddTask(coro, loop=loop, **options))

    async def wait(desk: Desk) -> None:
        await asyncio.create_task(desk.inner(), name="a helper")

    await hang(Desk(wait))
    make_odd(OddTask, "get_coro", "get_name", "get_stack", "get_context", "cancel", "result", "__repr__")
    called = await _checked()
    loop.set_task_factory(None)
    return called


async def odd_agents() -> list[str]:
    """Agents and AgentTasks are odd: in a deadlock, and where session.run() leads to one that needs the next turn."""

    class OddAgentType(type(Agent)):  # type: ignore[misc]
        is_odd = False

        @property
        def __name__(cls) -> str:
            return "Odd" if not OddAgentType.is_odd else calls.append("agent type.__name__") or "Odd"

    OddName, OddAsk = (OddAgentType(f"Odd{cls.__name__}", (cls,), {}) for cls in (Name, Ask))

    class OddDesk(Desk, metaclass=OddAgentType):
        @function_tool
        async def collect(self) -> Any:
            return await OddName()

        async def on_enter(self) -> None:
            await asyncio.Event().wait()

    class OddHost(Lobby, metaclass=OddAgentType):
        async def on_enter(self) -> None:
            await OddAsk()

    async def wait(desk: Desk) -> None:
        desk.session.update_agent(OddHost())

    await hang(OddDesk(Desk.inner))
    session = await start(Desk(wait))
    running = asyncio.ensure_future(waiting_for(session.run(user_input="ask")))
    await some_time()
    for cls in (OddName, OddDesk, OddAsk, OddHost):
        make_odd(cls, "__getattribute__", "__eq__", "__hash__", "__repr__")
        cls.__len__ = cls.__bool__ = odd_method("agent.__bool__")
    OddAgentType.is_odd = True
    called = await _checked()
    assert not running.done()
    return called
