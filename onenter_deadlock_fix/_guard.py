"""Whether: what the release, its code and the switch call for. Touches nothing of the library."""

from __future__ import annotations

import functools
import inspect
import os
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import CodeType, ModuleType
from typing import Any, Callable, Optional

from packaging.version import InvalidVersion, Version

from ._status import Status

SWITCH = "ONENTER_DEADLOCK_FIX"
_OFF = ("off", "0", "false", "no")
_ON = ("on", "1", "true", "yes", "")

# livekit/agents issue #4109; fixed by pull request #4113. AgentTask came with 1.2.0.
FIRST_AFFECTED = Version("1.2.0")
FIRST_FIXED = Version("1.3.6")

_VOICE = "livekit.agents.voice."
_AWAIT_IMPL = "agent:AgentTask._AgentTask__await_impl"

# function -> its signature (None where it does not matter) and names that its code uses
Fingerprint = Mapping[str, tuple[Optional[str], set[str]]]

# What the wrappers of _patch rely on, the same in every release from 1.2.0 to 1.3.5.
_HANDOFF: Fingerprint = {
    "agent:AgentTask.__await__": (None, {"_AgentTask__await_impl"}),
    _AWAIT_IMPL: ("async (self)", {"_AgentActivityContextVar", "_update_activity", "blocked_tasks"}),
    "agent_session:AgentSession._update_activity": (
        "async (self, agent, *, previous_activity='close', new_activity='start', "
        "blocked_tasks=None, wait_on_enter=True)",
        {"_activity", "_on_enter_task"},
    ),
    "agent_activity:AgentActivity.__init__": (None, {"_on_enter_task"}),
}


def decide(*, wanted: bool) -> tuple[Status, list[str]]:
    """Return the state that the library, imported by now, should be in, and what to warn of."""
    needed = examine()
    switch = os.environ.get(SWITCH, "")
    value = switch.strip().lower()
    if not wanted:
        return replace(needed, state="off", reason=f"switched off by deactivate(); {needed.reason}"), []
    if value in _OFF:
        return replace(needed, state="off", reason=f"switched off by {SWITCH}={switch}; {needed.reason}"), []
    if value not in _ON:
        return needed, [f"{SWITCH}={switch} is no known value and means on ({', '.join(_OFF)} mean off)"]
    return needed, []


def examine() -> Status:
    """Return the state that the release and its code call for, whatever the switch says.

    ``patched`` stands for an affected release whose code is what the wrappers are written for.
    """
    return _examine(sys.modules["livekit.agents"])


@functools.lru_cache(maxsize=1)  # found while the library is as it came: others may wrap it later
def _examine(library: ModuleType) -> Status:
    try:
        from livekit.agents.version import __version__ as release
    except ImportError:
        return Status("unrecognised", None, "this livekit.agents does not say which release it is")

    name = f"livekit-agents {release}"
    try:
        version = Version(release)
    except (InvalidVersion, TypeError):
        return Status("unrecognised", str(release), f"{name} has no version number as PEP 440 has them")
    if version < FIRST_AFFECTED:
        return Status("predates", release, f"{name} is older than AgentTask, which came with {FIRST_AFFECTED}")
    if version >= FIRST_FIXED:
        return Status("fixed-upstream", release, f"{name} has upstream's fix, which came with {FIRST_FIXED}")
    if _has_upstreams_fix():
        return Status("fixed-upstream", release, f"this build of {name} has upstream's fix already")
    different = difference(_HANDOFF)
    if different is not None:
        return Status("unrecognised", release, f"not patched: in this build of {name} {different}")
    return Status("patched", release, f"{name} has the on_enter deadlock of livekit/agents issue #4109")


def _has_upstreams_fix() -> bool:
    """Say whether the await of an AgentTask looks at the on_enter task, as it does from pull request #4113 on."""
    return "_on_enter_task" in _names(_function(_AWAIT_IMPL))


def difference(fingerprint: Fingerprint) -> str | None:
    """Say in what the library's code differs from a fingerprint, or return None."""
    for path, (signature, names) in fingerprint.items():
        function = _function(path)
        name = path.partition(":")[2]
        if function is None:
            return f"there is no {name}"
        if signature is not None and _signature(function) != signature:
            return f"{name} is not {signature}"
        missing = sorted(names - _names(function))
        if missing:
            return f"{name} makes no use of {missing[0]}"
    return None


def _function(path: str) -> Callable[..., Any] | None:
    """Return the library's own function, also from below the wrappers of others, or None where it is not there."""
    try:
        function: Callable[..., Any] = inspect.unwrap(pkgutil.resolve_name(_VOICE + path))
    except (ImportError, AttributeError, ValueError):
        return None
    return function if inspect.isfunction(function) else None


def _signature(function: Callable[..., Any]) -> str:
    """Return the signature without annotations, behind ``async`` where it is a coroutine function's."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return f"async {text}" if inspect.iscoroutinefunction(function) else text


def _names(function: Callable[..., Any] | None) -> set[str]:
    """Return the names that a function's code uses: variables, attributes, keywords, strings given to getattr."""
    return set() if function is None else _names_in(function.__code__)


def _names_in(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
        elif isinstance(constant, str):
            names.add(constant)
        elif isinstance(constant, tuple):  # the keywords of a call are kept as one
            names.update(word for word in constant if isinstance(word, str))
    return names
