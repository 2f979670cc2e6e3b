"""A deadlock among objects whose methods note that they are called, and raise."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import time
import types
import xmlrpc.client
from collections.abc import Generator
from typing import Any, Callable

import wrapt
from cast import Ask, Desk, some_time, start
from livekit.agents import Agent, AgentTask, function_tool

from .deadlocks import nested

calls: list[str] = []  # of methods of odd objects, while it matters
LOOKS = 1.0  # seconds; detection looks several times meanwhile


def odd_method(name: str) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        raise RuntimeError(name)

    return method


SPECIAL = (
    *("__eq__", "__ne__", "__lt__", "__hash__", "__bool__", "__len__", "__repr__", "__str__", "__format__", "__dir__"),
    *("__iter__", "__next__", "__contains__", "__getitem__", "__call__", "__await__", "__aiter__", "__anext__"),
    *("__enter__", "__exit__", "__aenter__", "__aexit__", "__int__", "__index__", "__reduce_ex__", "__instancecheck__"),
)


class OddType(type):
    """A class of classes that can't even be asked for their name."""

    __name__ = property(odd_method("type.__name__"))
    __module__ = property(odd_method("type.__module__"))
    __mro__ = property(odd_method("type.__mro__"))
    __getattribute__ = odd_method("type.__getattribute__")


for _name in (
    "__eq__",
    "__hash__",
    "__bool__",
    "__len__",
    "__repr__",
    "__call__",
    "__instancecheck__",
    "__subclasscheck__",
):
    setattr(OddType, _name, odd_method(f"type.{_name}"))


def _one_method(name: str) -> Any:
    return types.new_class("Odd", (), {}, lambda body: body.update({name: odd_method(name)}))()


def _class_property() -> Any:
    return types.new_class("Odd", (), {}, lambda body: body.update({"__class__": property(odd_method("__class__"))}))()


def _all_at_once() -> Any:
    body = {name: odd_method(name) for name in SPECIAL}
    body["__getattribute__"] = odd_method("__getattribute__")
    return object.__new__(type("Odd", (), body))


_new: Any = object.__new__


def _of_odd_class() -> Any:
    return _new(type.__new__(OddType, "Odd", (), {}))


def _lazy(evaluate: Callable[[], Any]) -> Any:
    def noting() -> Any:
        calls.append("evaluated")
        return evaluate()

    return wrapt.LazyObjectProxy(noting)


class OddStr(str):
    __slots__ = ()
    __eq__ = odd_method("str.__eq__")
    __hash__ = odd_method("str.__hash__")
    __format__ = odd_method("str.__format__")
    startswith = odd_method("str.startswith")


def _oddly_named_function() -> Any:
    def function(*_: Any) -> None:
        pass

    function.__qualname__ = function.__name__ = OddStr("function")
    function.__module__ = OddStr("module")
    return function


ODD: dict[str, Callable[[], Any]] = {
    **{name: functools.partial(_one_method, name) for name in (*SPECIAL, "__getattr__", "__getattribute__")},
    "__class__": _class_property,
    "everything": _all_at_once,
    "its class": _of_odd_class,
    "lazy and slow": lambda: _lazy(lambda: time.sleep(1.5)),
    "lazy and failing": lambda: _lazy(odd_method("evaluated")),
    "any attribute": lambda: xmlrpc.client.ServerProxy("http://127.0.0.1:9/").ping,
    "a million": lambda: dict.fromkeys(range(1_000_000)),
    "a function's name": _oddly_named_function,
}


class OddAwaitable:
    """Its ``__await__`` returns an iterator that is neither a coroutine nor a generator."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future = future

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        self.future._asyncio_future_blocking = True
        return self.future

    def __getattr__(self, name: str) -> Any:
        calls.append(f"awaitable.{name}")
        raise RuntimeError(name)


class OddFuture(asyncio.Future):  # type: ignore[type-arg]
    """A future whose methods are odd once it is awaited."""

    is_odd = False


class OddTask(asyncio.Task):  # type: ignore[type-arg]
    """A task as a task factory makes it, whose methods are odd once it hangs."""


def _make_odd(cls: type, names: tuple[str, ...]) -> None:
    """Have methods of a class note that they are called, and do as they do."""
    for name in names:
        inherited = getattr(cls, name)

        def method(self: Any, *args: Any, _name: str = name, _inherited: Any = inherited, **kwargs: Any) -> Any:
            calls.append(_name)
            return _inherited(self, *args, **kwargs)

        setattr(cls, name, method)


async def _looked_at() -> list[str]:
    """Return which odd methods are called while detection looks several times."""
    await some_time()
    calls.clear()  # what livekit-agents, asyncio and the program itself have called
    await asyncio.sleep(LOOKS)
    return sorted(set(calls))


async def everywhere(kind: str) -> list[str]:
    """An odd object is wherever a look comes past."""
    odd, keep = ODD[kind](), []
    loop = asyncio.get_running_loop()
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("odd")
    variable.set(odd)

    class OddDesk(Desk):
        def __init__(self) -> None:
            super().__init__(self.wait_oddly)
            self.odd, self._odd = odd, [odd]

        async def wait_oddly(self, _: Desk) -> None:
            local, tool = odd, asyncio.current_task()
            assert tool
            keep.append(local)
            tool.add_done_callback(odd)
            tool.add_done_callback(functools.partial(keep.append, odd))
            tool.add_done_callback(functools.partial(odd, odd, odd=odd) if callable(odd) else keep.append)
            tool.add_done_callback(lambda _: keep.append(odd))
            tool.add_done_callback(types.MethodType(keep.append, odd))
            result = loop.create_future()
            result.set_result(odd)
            await asyncio.gather(result, self._reply(local), _suspended(odd), return_exceptions=True)

        async def _reply(self, local: Any) -> None:
            handle = self.session.generate_reply(user_input="collect", tool_choice="auto")
            handle._done_fut.add_done_callback(odd)
            with contextlib.suppress(Exception):
                handle.add_done_callback(ODD[kind]())  # which asks for its hash
            await handle
            keep.append(local)

    callback = odd if type(odd) is not dict else keep.append
    loop.call_later(3600, callback, odd)
    waiting = loop.create_future()
    waiting.add_done_callback(callback)
    others = [asyncio.ensure_future(one) for one in (_suspended(odd), _awaits(waiting), _in_blocks(odd))]
    for other in others:
        other.add_done_callback(callback)
    session = await start(OddDesk())
    session.userdata = odd
    session.generate_reply(user_input="ask")
    return await _looked_at()


async def _suspended(odd: Any) -> Any:
    await asyncio.Event().wait()
    return odd


async def _awaits(awaitable: Any) -> Any:
    return await awaitable


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


async def odd_futures() -> list[str]:
    """The tool that is deadlocked awaits futures of an own class, and so do others."""
    loop = asyncio.get_running_loop()

    async def wait(desk: Desk) -> None:
        inner = asyncio.ensure_future(desk.inner())
        await asyncio.gather(inner, OddFuture(), OddAwaitable(loop.create_future()), _awaits(OddFuture()))

    others = [asyncio.ensure_future(_awaits(one)) for one in (OddFuture(), OddAwaitable(OddFuture()), _generator())]
    others.append(asyncio.ensure_future(asyncio.wait([OddFuture()], return_when=asyncio.FIRST_COMPLETED)))
    others.append(asyncio.ensure_future(asyncio.shield(OddFuture())))
    session = await start(Desk(wait))
    session.generate_reply(user_input="ask")
    await some_time()
    _make_odd(OddFuture, ("done", "result", "cancelled", "exception", "get_loop", "__hash__", "__eq__", "__repr__"))
    return await _looked_at()


@types.coroutine
def _generator() -> Generator[Any, Any, None]:
    """A coroutine that is a generator, and awaits an odd future."""
    yield from OddFuture().__await__()


async def odd_tasks() -> list[str]:
    """Each task is of a class of the program's, by a task factory."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coro, **options: OddTask(coro, loop=loop, **options))

    async def wait(desk: Desk) -> None:
        await asyncio.create_task(desk.inner(), name="a helper")

    session = await start(Desk(wait))
    session.generate_reply(user_input="ask")
    await some_time()
    for name in ("get_coro", "get_name", "get_stack", "get_context", "cancel", "result", "__repr__"):
        setattr(OddTask, name, odd_method(f"task.{name}"))
    told = await _looked_at()
    loop.set_task_factory(None)
    return told


async def odd_attributes() -> list[str]:
    """Tasks are asked for attributes that they do not have, and so are what tools wait for to acquire."""

    class AsksTask(asyncio.Task):  # type: ignore[type-arg]
        def __getattr__(self, name: str) -> Any:
            return odd_method(f"task.{name}")()

    class AsksLock(asyncio.Lock):
        is_odd = False

        def __getattribute__(self, name: str) -> Any:
            return odd_method(f"lock.{name}")() if AsksLock.is_odd else super().__getattribute__(name)

    class AsksSemaphore(asyncio.Semaphore):
        def __getattr__(self, name: str) -> Any:
            return odd_method(f"semaphore.{name}")()

    async def acquire(lock: Any) -> None:
        async with lock, lock:
            pass

    async def wait(desk: Desk) -> None:
        await asyncio.gather(desk.inner(), acquire(AsksLock()), acquire(AsksSemaphore()))

    loop = asyncio.get_running_loop()
    other = AsksTask(asyncio.sleep(3600), loop=loop)
    session = await start(Desk(wait))
    session.generate_reply(user_input="ask")
    await some_time()
    AsksLock.is_odd = True
    told = await _looked_at()
    AsksLock.is_odd = False
    other.cancel()
    return told


async def odd_agents() -> list[str]:
    """The agent and the AgentTask themselves are odd."""

    class OddAgentType(type(Agent)):  # type: ignore[misc]
        is_odd = False

        @property
        def __name__(cls) -> str:
            return odd_method("agent type.__name__")() if OddAgentType.is_odd else "Odd"

    class OddName(AgentTask[str], metaclass=OddAgentType):
        def __init__(self) -> None:
            super().__init__(instructions="")

    class OddDesk(Desk, metaclass=OddAgentType):
        @function_tool
        async def collect(self) -> str:
            return await OddName()

        async def on_enter(self) -> None:
            await asyncio.Event().wait()

    session = await start(OddDesk(Desk.inner))
    session.generate_reply(user_input="ask")
    await some_time()
    OddAgentType.is_odd = True
    for cls in (OddName, OddDesk):
        _make_odd(cls, ("__getattribute__", "__eq__", "__hash__", "__repr__"))
        cls.__len__ = cls.__bool__ = odd_method("agent.__bool__")
    return await _looked_at()


async def odd_agents_in_a_run() -> list[str]:
    """session.run() leads to an AgentTask that waits for the next turn, and that and the agents are odd."""

    class OddAsk(Ask):
        pass

    class OddHost(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="")

        async def on_enter(self) -> None:
            await OddAsk()

    async def wait(desk: Desk) -> None:
        desk.session.update_agent(OddHost())

    session = await start(Desk(wait))
    running = asyncio.ensure_future(_awaits(session.run(user_input="ask")))
    await some_time()
    for cls in (OddAsk, OddHost):
        _make_odd(cls, ("__getattribute__", "__eq__", "__hash__", "__repr__"))
    told = await _looked_at()
    assert not running.done()
    return told


async def as_usual() -> list[str]:
    """The same without anything odd, so that it is known what all of them are a variation of."""
    hanging = asyncio.ensure_future(nested())
    told = await _looked_at()
    assert not hanging.done()
    return told
