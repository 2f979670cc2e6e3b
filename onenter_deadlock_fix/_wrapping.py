"""Install and uninstall wrapt wrappers around methods of livekit-agents, all of them or none."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Iterable
from typing import Any, Callable

import wrapt

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


class _MethodWrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        # Called unbound, as by ``vars(cls)[name](instance)``: bind it, because wrapt would take no instance from args.
        bound = self.__get__(args[0], type(args[0])) if args else self.__wrapped__
        return bound(*args[1:], **kwargs)


class _BoundMethod(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A bound method that can be copied and pickled like the library's own, which wrapt refuses."""

    __copy__ = __deepcopy__ = None  # type: ignore[assignment]  # so that copy uses __reduce_ex__, too

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        if self._self_instance is None:  # accessed on its class
            import pkgutil

            return pkgutil.resolve_name, (f"{self.__module__}:{self.__qualname__}",)
        return getattr, (self.__self__, self.__name__)


class _CopyableMethodWrapper(_MethodWrapper):
    __bound_function_wrapper__ = _BoundMethod


_is_enabled = False
# Class and name of a method -> its wrapper, and the code of the library's function. The references are weak, so that a
# purged library can be freed.
_methods: dict[tuple[weakref.ref[type], str], tuple[Wrapper, Any]] = {}


def install(wrappers: Iterable[tuple[type, str, Wrapper]]) -> None:
    """Wrap methods, each given by class, name and wrapper; wrap none of them if that raises.

    Classes that a reload has replaced are wrapped again, too. A method that other code has replaced is left alone.
    """
    global _is_enabled
    try:
        for owner, name, wrapper in wrappers:
            _methods.setdefault((weakref.ref(owner), name), (wrapper, _code(vars(owner)[name])))
        for (owner_ref, name), (wrapper, code) in list(_methods.items()):
            cls: Any = owner_ref()
            if cls is None or _is_wrapped(cls, name):
                continue
            current: Any = vars(cls).get(name)
            while type(current).__module__ == __name__:
                current = current.__wrapped__  # a wrapper of an earlier import of this package
            if _code(current) is code:  # else other code has replaced or deleted it
                # livekit-agents searches each AgentTask's methods for tools; copyable wrappers slow that down. Names
                # with two underscores are private to the AgentTask, and nobody copies those.
                kind = _MethodWrapper if "__" in name else _CopyableMethodWrapper
                setattr(cls, name, kind(current, wrapper, enabled=lambda: _is_enabled))
        _is_enabled = True
    except BaseException:
        uninstall()
        raise


def uninstall() -> None:
    """Remove the wrappers. Those that other code has wrapped in turn can't be removed; they only forward calls."""
    global _is_enabled
    _is_enabled = False
    for owner_ref, name in list(_methods):
        owner = owner_ref()
        current: Any = owner and vars(owner).get(name)
        if _is_ours(current):
            setattr(owner, name, current.__wrapped__)


def describe_replacement(classes: Iterable[Any]) -> str | None:
    """Return which method of classes (weak references) other code has replaced, and by what, or None."""
    for owner_ref, name in list(_methods):
        owner: Any = owner_ref()
        if owner_ref in classes and not _is_wrapped(owner, name):
            current = vars(owner).get(name)
            named: Any = current if hasattr(current, "__qualname__") else type(current)
            method = f"{owner.__name__}.{name.replace('_AgentTask__', '__')}"
            return f"{method} is now {named.__module__}.{named.__qualname__}"
    return None


def _code(function: Any) -> Any:
    return getattr(inspect.unwrap(function), "__code__", None)


def _is_ours(function: Any) -> bool:
    if issubclass(type(function), wrapt.BoundFunctionWrapper):
        function = function._self_parent
    return issubclass(type(function), _MethodWrapper)


def _is_wrapped(owner: type, name: str) -> bool:
    """Return whether a wrapper is on a method, even if other code has wrapped it in turn."""
    try:
        return _is_ours(inspect.unwrap(vars(owner)[name], stop=_is_ours))
    except (KeyError, ValueError):  # it was deleted, or other code has made an endless chain
        return False
