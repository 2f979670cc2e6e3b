"""Install and uninstall wrapt wrappers around methods of livekit-agents, all of them or none."""

from __future__ import annotations

import copy
import inspect
import pkgutil
import weakref
from collections.abc import Iterable
from typing import Any, Callable

import wrapt

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


class _MethodWrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # not generic before wrapt 2
    _self_group: Wrappers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # ``vars(cls)[name](instance)`` calls the wrapper unbound.
        instance, *others = args
        return self.__get__(instance, type(instance))(*others, **kwargs)


class _BoundMethod(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A bound method that can be copied and pickled like the library's own, which wrapt refuses."""

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        if self._self_instance is None:  # accessed on its class
            return pkgutil.resolve_name, (f"{self.__module__}:{self.__qualname__}",)
        return getattr, (self.__self__, self.__name__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        function, args = self.__reduce_ex__(4)
        return function(*copy.deepcopy(args, memo))


class _CopyableMethodWrapper(_MethodWrapper):
    __bound_function_wrapper__ = _BoundMethod


class Wrappers:
    """A group of wrappers. While the group is disabled, wrappers that can't be removed only forward calls."""

    def __init__(self) -> None:
        self._is_enabled = False
        # Class and name -> the library's function. Weak references, so that a purged library can be freed.
        self._originals: dict[tuple[weakref.ref[type], str], weakref.ref[Any]] = {}

    def install(self, methods: Iterable[tuple[type, str, Wrapper]]) -> None:
        """Wrap methods, each given by class, name and wrapper; wrap none of them if that raises.

        A method that other code has replaced since it was wrapped is left alone.
        """
        try:
            for owner, name, wrapper in methods:
                current = vars(owner)[name]
                while type(current).__module__ == __name__ and not isinstance(current, _MethodWrapper):
                    current = current.__wrapped__  # a wrapper of an earlier import of this package
                function = inspect.unwrap(current)
                original = self._originals.setdefault((weakref.ref(owner), name), weakref.ref(function))
                if self._find(owner, name) is None and original() is function:
                    # livekit-agents searches each AgentTask's methods for tools; copyable wrappers slow that down.
                    kind = _MethodWrapper if "__" in name else _CopyableMethodWrapper
                    new_wrapper = kind(current, wrapper, enabled=lambda: self._is_enabled)
                    new_wrapper._self_group = self
                    setattr(owner, name, new_wrapper)
            self._is_enabled = True
        except BaseException:
            self.uninstall()
            raise

    def uninstall(self) -> None:
        """Remove the wrappers, and disable those that other code has wrapped in turn."""
        self._is_enabled = False
        for owner_ref, name in list(self._originals):
            owner = owner_ref()
            current = None if owner is None else vars(owner).get(name)
            if self._is_ours(current):
                setattr(owner, name, current.__wrapped__)  # type: ignore[union-attr]

    def describe_replacement(self, classes: Iterable[Any]) -> str | None:
        """Return which method of classes (weak references) other code has replaced, and by what, or None."""
        for owner_ref, name in list(self._originals):
            owner = owner_ref()
            if owner is not None and owner_ref in classes and self._find(owner, name) is None:
                current: Any = vars(owner).get(name)
                named = current if hasattr(current, "__qualname__") else type(current)
                method = f"{owner.__name__}.{name.replace('_AgentTask__', '__')}"
                return f"{method} is now {named.__module__}.{named.__qualname__}"
        return None

    def _is_ours(self, function: Any) -> bool:
        return issubclass(type(function), _MethodWrapper) and function._self_group is self

    def _find(self, owner: type, name: str) -> Any:
        """Return the wrapper of this group on a method, even if other code has wrapped it in turn."""
        function: Any = vars(owner).get(name)
        for _ in range(100):  # other code may have made an endless chain
            if issubclass(type(function), wrapt.BoundFunctionWrapper):
                function = function._self_parent
            if self._is_ours(function):
                return function
            function = getattr(function, "__wrapped__", None)
        return None
