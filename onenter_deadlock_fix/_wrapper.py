"""Wrappers around methods of livekit-agents, installed and uninstalled together."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Coroutine, Iterable
from types import MethodType
from typing import Any, Callable

import wrapt

CoroutineFunction = Callable[..., Coroutine[Any, Any, Any]]


class Switch:
    """Whether wrappers take part; where ``on`` is false, they must change nothing."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False


# Makes the function that is called in place of the given one.
Wrap = Callable[[CoroutineFunction, Switch], CoroutineFunction]


class Wrappers:
    """Wrappers that belong together."""

    def __init__(self) -> None:
        self._switch = Switch()
        # those that are in place, in a class or below others' wrappers there
        self._installed: dict[tuple[type, str], _Wrapper] = {}
        self._lock = threading.Lock()

    def install(self, methods: Iterable[tuple[type, str, Wrap]]) -> None:
        """Wrap these methods, or none where that raises; switch on what is in place already."""
        with self._lock:
            try:
                for owner, name, wrap in methods:
                    self._install(owner, name, wrap)
            except BaseException:
                self._uninstall()
                raise

    def uninstall(self) -> None:
        """Put the library's methods back; where others have wrapped on top of ours, ours pass everything through."""
        with self._lock:
            self._uninstall()

    def _install(self, owner: type, name: str, wrap: Wrap) -> None:
        there = vars(owner)[name]
        ours = self._installed.get((owner, name)) or _left_by_an_earlier_import(there)
        if ours is there and ours._self_switch is not self._switch:
            there, ours = ours.__wrapped__, None
        if ours is None:
            ours = _Wrapper(there, wrap, self._switch)
        if there is ours.__wrapped__:  # not installed yet, or uninstalled by somebody else
            setattr(owner, name, ours)
        self._installed[owner, name] = ours
        ours._self_switch.on = True

    def _uninstall(self) -> None:
        for (owner, name), ours in list(self._installed.items()):
            ours._self_switch.on = False
            if vars(owner)[name] is ours:
                setattr(owner, name, ours.__wrapped__)
                del self._installed[owner, name]


class _Wrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    """A wrapper with a switch, which binds as a plain function does.

    wrapt binds by a proxy of its own. The library asks each attribute of each new AgentTask whether it is a tool
    (``find_function_tools``), and to ask such a proxy would be most of what the shim costs.
    """

    def __init__(self, wrapped: CoroutineFunction, wrap: Wrap, switch: Switch) -> None:
        super().__init__(wrapped, functools.wraps(wrapped)(wrap(wrapped, switch)))
        self._self_switch = switch

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self._self_wrapper, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_wrapper(*args, **kwargs)


def _left_by_an_earlier_import(function: Callable[..., Any]) -> _Wrapper | None:
    found = inspect.unwrap(function, stop=_is_ours)
    return found if _is_ours(found) else None


def _is_ours(function: Callable[..., Any]) -> bool:
    return type(function).__module__ == __name__  # type() tells a proxy from what it stands for
