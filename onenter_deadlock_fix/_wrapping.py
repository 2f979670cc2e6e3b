"""Wrappers around functions of livekit-agents, put on and taken off together."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Coroutine, Sequence
from types import MethodType
from typing import Any, Callable

import wrapt

CoroutineFunction = Callable[..., Coroutine[Any, Any, Any]]
Wrap = Callable[[CoroutineFunction, threading.Event], CoroutineFunction]


class Wrapping:
    """The wrappers that belong together: a class, the name of its function, and what makes the wrapper of it.

    That is called with the function and with a switch; while the switch is off, the wrapper must change nothing.
    """

    def __init__(self, functions: Sequence[tuple[type, str, Wrap]]) -> None:
        self._functions = functions
        # those put on and not put off again, in the library or below others' wrappers
        self._standing: dict[str, _Wrapper] = {}
        self._lock = threading.Lock()

    def put_on(self) -> None:
        """Wrap all functions, or none where that raises; switch on what still stands from before."""
        with self._lock:
            try:
                for owner, name, wrap in self._functions:
                    ours = self._standing.get(name) or _find(owner, name)
                    if ours is None:
                        ours = _Wrapper(vars(owner)[name], wrap)
                    if vars(owner)[name] is ours.__wrapped__:  # not put on yet, or taken off by somebody else
                        setattr(owner, name, ours)
                    ours._self_on.set()
                    self._standing[name] = ours
            except BaseException:
                self._take_off()
                raise

    def take_off(self) -> None:
        """Put the library's functions back; where others have wrapped on top of ours, ours pass everything through."""
        with self._lock:
            self._take_off()

    def _take_off(self) -> None:
        for owner, name, _ in self._functions:
            ours = self._standing.get(name)
            if ours is None:
                continue
            ours._self_on.clear()
            if vars(owner)[name] is ours:
                setattr(owner, name, ours.__wrapped__)
                del self._standing[name]


class _Wrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    """A wrapper with a switch. It binds as a plain function does.

    The library asks each attribute of each new AgentTask whether it is a tool (``find_function_tools``). A bound
    method is asked in no time; to ask wrapt's bound proxy would be most of what the shim costs.
    """

    def __init__(self, wrapped: CoroutineFunction, wrap: Wrap) -> None:
        on = threading.Event()
        super().__init__(wrapped, functools.wraps(wrapped)(wrap(wrapped, on)))
        self._self_on = on

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self._self_wrapper, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_wrapper(*args, **kwargs)


def _find(owner: type, name: str) -> _Wrapper | None:
    """Return the wrapper that an earlier import of this module has left, or None."""
    found = inspect.unwrap(vars(owner)[name], stop=_is_ours)
    return found if _is_ours(found) else None


def _is_ours(function: Callable[..., Any]) -> bool:
    return type(function).__module__ == __name__  # type() tells a proxy from what it stands for
