"""What a callback, or a function that somebody is in, holds and might resolve or cancel."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import BuiltinFunctionType, CellType, CodeType, FrameType, FunctionType, MethodType
from typing import Any
from weakref import WeakSet

from .stack import function_of

TASK_GROUPS = ("asyncio.taskgroups.TaskGroup", "anyio._backends._asyncio.TaskGroup")

_NOT_THE_USERS = ("asyncio.", "anyio.", "livekit.")
_CALLABLE = (FunctionType, MethodType, BuiltinFunctionType, functools.partial)
_COLLECTIONS = (list, tuple, set, frozenset, deque, WeakSet)


def kind_of(thing: Any) -> str:
    """Return the full name of what a thing is."""
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


def origin(callback: Any) -> tuple[str, str]:
    """Return the name of a callback's function, and the package that it comes from."""
    function = _function(callback)
    return getattr(function, "__name__", ""), (getattr(function, "__module__", None) or "").partition(".")[0]


def held_by(callback: Any) -> list[Any]:
    """Return what a callback acts on: what it is bound to, has closed over, or is given."""
    held: list[Any] = []
    while isinstance(callback, functools.partial):
        held += callback.args
        callback = callback.func
    closure = getattr(callback, "__closure__", None)
    if closure:
        try:
            held += [cell.cell_contents for cell in closure]
        except ValueError:  # one of the cells is empty
            held += contents(closure)
    bound_to = getattr(callback, "__self__", None)
    held += () if bound_to is None else (bound_to,)
    return held


def is_given(callback: Any, variable: str) -> bool:
    """Say whether a variable that a callback has closed over is true."""
    closure = getattr(callback, "__closure__", None) or ()
    names = callback.__code__.co_freevars if closure else ()
    return any(name == variable and cell.cell_contents for name, cell in zip(names, closure))


def resolved_through(held: Any) -> Iterator[asyncio.Future[Any]]:
    """Yield the futures that a callback resolves which holds this, and is asyncio's, anyio's or livekit-agents' own."""
    if type(held).__module__ == "builtins":  # as most of what closures hold
        return
    resolved: Any = (held,)
    if isinstance(held, asyncio.Queue):
        resolved = vars(held)["_getters"]
    elif not isinstance(held, asyncio.Future):
        kind = kind_of(held)
        if kind in TASK_GROUPS:
            resolved = (held._on_completed_fut,)
        elif kind == "livekit.agents.voice.run_result.RunResult":
            resolved = (held._done_fut,)
        elif kind == "asyncio.tasks._AsCompletedIterator":  # from Python 3.13 on; before, it is the queue that is held
            resolved = vars(held._done)["_getters"]
    for future in resolved:
        if isinstance(future, asyncio.Future) and not isinstance(future, asyncio.Task):
            yield future


def shows_timers(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether the timers of an event loop can be read: of asyncio's own, and of uvloop."""
    return hasattr(loop, "_scheduled") or any(kind.__module__.startswith("uvloop") for kind in type(loop).__mro__)


def about_to_be_called(loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Yield what the callbacks act on that an event loop has a timer for, or will call next.

    A timer that is due is none any more, but one of the callbacks that the loop will call next.
    """
    timers = getattr(loop, "_scheduled", None)
    if timers is not None:
        for handle in (*timers, *loop._ready):  # type: ignore[attr-defined]
            if not handle.cancelled():
                yield from handle._args or ()
                yield from _acts_on(handle._callback)
        return
    # uvloop lets only the garbage collector see them, and what they call
    groups = (thing for thing in gc.get_referents(loop) if isinstance(thing, (set, deque)))
    for handle in (thing for group in groups for thing in group if type(thing).__name__ in ("Handle", "TimerHandle")):
        for referent in gc.get_referents(handle):
            yield from referent if isinstance(referent, tuple) else _acts_on(referent)


def is_the_users(frame: FrameType) -> bool:
    return not function_of(frame).startswith(_NOT_THE_USERS)


def cancels(code: CodeType) -> bool:
    """Say whether code calls something that is named for cancelling, as ``cancel_and_wait()`` is, too."""
    names = code.co_names
    if "cancel" not in " ".join(names):  # quick, for nearly all code
        return False
    return any(name.startswith("cancel") and name not in ("cancelled", "cancelling") for name in names)


def cancelled_in(awaited: Any, frame: FrameType, waits_for: Iterable[Any]) -> Iterator[Any]:
    """Yield what a function may cancel that is suspended in this frame: by itself, or one call away.

    ``waits_for``: what its task waits for, which asyncio may hold for it.
    """
    held = [*contents(gc.get_referents(awaited, frame)), *waits_for]
    names = frame.f_code.co_names
    if cancels(frame.f_code):
        yield from _may_cancel(frame.f_code, held, frame.f_globals)
    for thing in (*held, *_named(names, frame.f_globals)):
        if isinstance(thing, _CALLABLE):
            yield from _cancelled_by(thing)
        elif type(thing).__module__ != "builtins":  # of the user's, or of a library's
            for function in _named(names, *map(vars, type(thing).__mro__)):
                if isinstance(function, FunctionType) and cancels(function.__code__):
                    yield from _may_cancel(function.__code__, [thing], function.__globals__)


def entered(methods: Iterable[Any]) -> Iterator[Any]:
    """Yield the context managers whose ``__aexit__`` is among these, or what such a one has entered for its block."""
    for method in methods:
        if isinstance(method, MethodType) and method.__name__ == "__aexit__":
            manager: Any = method.__self__
            if isinstance(manager, contextlib.AsyncExitStack):
                yield from entered(callback for _, callback in vars(manager)["_exit_callbacks"])
            elif isinstance(manager, contextlib._AsyncGeneratorContextManager):
                generator: Any = manager.gen
                yield from entered(gc.get_referents(generator, generator.ag_frame))
            else:
                yield manager


def contents(things: Iterable[Any]) -> Iterator[Any]:
    """Yield things, and of the cells of closures what is in them."""
    for thing in things:
        if isinstance(thing, CellType):
            with contextlib.suppress(ValueError):  # it is empty
                yield thing.cell_contents
        else:
            yield thing


def _acts_on(callback: Any) -> Iterator[Any]:
    """Yield what a callback that will be called may resolve or cancel."""
    yield from held_by(callback)
    yield from _cancelled_by(callback)


def _cancelled_by(callback: Any) -> Iterator[Any]:
    """Yield what a function, a method or a partial may cancel when it is called."""
    function = _function(callback)
    if isinstance(function, FunctionType) and cancels(function.__code__):
        yield from _may_cancel(function.__code__, held_by(callback), function.__globals__)
    elif getattr(function, "__name__", "") == "cancel":  # of a task
        yield from held_by(callback)


def _function(callback: Any) -> Any:
    while isinstance(callback, functools.partial):
        callback = callback.func
    return getattr(callback, "__func__", callback)


def _may_cancel(code: CodeType, held: Iterable[Any], variables: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what code may cancel that cancels: what it holds or names, also as an attribute, or in a collection."""
    names = code.co_names
    for thing in (*held, *_named(names, variables)):
        for part in (thing, *_named(names, _attributes(thing))):
            if isinstance(part, dict):
                yield from (*part.keys(), *part.values())
            elif isinstance(part, _COLLECTIONS):
                yield from part
            elif hasattr(type(part), "cancel"):
                yield part


def _attributes(thing: Any) -> Mapping[str, Any]:
    """Return the attributes of the user's object, without a call of the user's code."""
    try:
        attributes: Mapping[str, Any] = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return attributes


def _named(names: Iterable[str], *variables: Mapping[str, Any]) -> Iterator[Any]:
    for name in names:
        for values in variables:
            if name in values:
                yield values[name]
