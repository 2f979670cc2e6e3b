"""Decide whether this livekit-agents needs the patch, by its release and its code. Patches nothing itself.

The code is compared by signatures and by the names that it uses. That can't prove that a vendor's build behaves like
the release with the same version number.
"""

from __future__ import annotations

import dis
import inspect
import os
import pkgutil
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any, Literal, NamedTuple

from packaging.version import InvalidVersion, Version

SWITCH = "ONENTER_DEADLOCK_FIX"
OFF_WORDS = ("off", "0", "false", "no")
ON_WORDS = ("on", "1", "true", "yes")

# livekit/agents issue #4109; fixed by pull request #4113. AgentTask came with 1.2.0.
FIRST_AFFECTED = Version("1.2.0")
FIRST_FIXED = Version("1.3.6")
FIRST_WITHOUT_OTHER_WAITS = Version("1.2.6")  # in older releases, pull request #4113 alone is not enough

_VOICE = "livekit.agents.voice."
_AWAIT_IMPL = "agent:AgentTask._AgentTask__await_impl"
_UPDATE_ACTIVITY = "agent_session:AgentSession._update_activity"

# function -> its signature (None if it does not matter) and the names that its code must use
Fingerprint = Mapping[str, "tuple[str | None, set[str]]"]

# What the wrappers of _patch rely on, the same in every release from 1.2.0 to 1.3.5.
_HANDOFF: Fingerprint = {
    "agent:AgentTask.__await__": (None, {"_AgentTask__await_impl"}),
    _AWAIT_IMPL: ("async (self)", {"_AgentActivityContextVar", "_update_activity", "blocked_tasks"}),
    _UPDATE_ACTIVITY: (
        "async (self, agent, *, previous_activity='close', new_activity='start', "
        "blocked_tasks=None, wait_on_enter=True)",
        {"_activity", "_on_enter_task", "pause"},
    ),
    "agent_activity:AgentActivity.__init__": (None, {"_on_enter_task"}),
    "agent_activity:AgentActivity.pause": ("async (self, *, blocked_tasks)", {"_pause_scheduling_task"}),
    "agent_activity:AgentActivity._pause_scheduling_task": (None, {"_drain_blocked_tasks"}),
    "agent_activity:AgentActivity._scheduling_task": (None, {"_drain_blocked_tasks", "_speech_tasks"}),
}


class Verdict(NamedTuple):
    """Whether a release needs the patch. Only ``affected`` releases are patched."""

    state: Literal["affected", "fixed-upstream", "predates", "unrecognised"]
    release: str | None
    reason: str
    has_other_waits: bool = False  # 1.2.0 to 1.2.5, see _patch_before_1_2_6


def read_switch() -> tuple[bool, list[str]]:
    """Return whether ``ONENTER_DEADLOCK_FIX`` leaves the fix on, and a warning if its value is unknown."""
    value = os.environ.get(SWITCH, "")
    word = value.strip().lower()
    if word in ("", *OFF_WORDS, *ON_WORDS):
        return word not in OFF_WORDS, []
    return True, [f"{SWITCH}={value} is not a known value and means on ({', '.join(OFF_WORDS)} mean off)"]


def examine() -> Verdict:
    """Return the verdict on the livekit-agents that is imported, regardless of the switch."""
    try:
        from livekit.agents.version import __version__ as release
    except ImportError:
        return Verdict("unrecognised", None, "not patched: this livekit.agents does not say which release it is")

    name = f"livekit-agents {release}"
    try:
        version = Version(release)
    except (InvalidVersion, TypeError):
        return Verdict("unrecognised", str(release), f"not patched: {name} has no version number by PEP 440")
    if version < FIRST_AFFECTED:
        return Verdict("predates", release, f"{name} is older than AgentTask, which came with {FIRST_AFFECTED}")
    if version >= FIRST_FIXED:
        return Verdict("fixed-upstream", release, f"{name} has upstream's fix, which came with {FIRST_FIXED}")
    has_other_waits = version < FIRST_WITHOUT_OTHER_WAITS
    mismatch = first_mismatch(_HANDOFF)
    if mismatch is None and has_other_waits:
        from ._patch_before_1_2_6 import FINGERPRINT

        mismatch = first_mismatch(FINGERPRINT)
    if mismatch is None and "pause blocked_tasks" not in _names_in_order(_UPDATE_ACTIVITY):
        mismatch = "AgentSession._update_activity does not pass blocked_tasks on"
    if mismatch is None and "_on_enter_task" in _names(_function(_AWAIT_IMPL).__code__):  # type: ignore[union-attr]
        if "blocked_tasks append old_activity _on_enter_task" not in _names_in_order(_AWAIT_IMPL):
            mismatch = "AgentTask.__await_impl uses _on_enter_task, but not as upstream's fix does"
        elif not has_other_waits:
            return Verdict("fixed-upstream", release, f"this build of {name} has upstream's fix already")
    if mismatch is not None:
        return Verdict("unrecognised", release, f"not patched: in this build of {name} {mismatch}")
    reason = f"{name} has the on_enter deadlock of livekit/agents issue #4109"
    return Verdict("affected", release, reason, has_other_waits)


def first_mismatch(fingerprint: Fingerprint) -> str | None:
    """Return the first way in which the library's code differs from a fingerprint, or None."""
    for path, (signature, names) in fingerprint.items():
        function = _function(path)
        name = path.partition(":")[2].replace("_AgentTask__", "__")
        if function is None:
            return f"there is no {name}"
        if signature is not None and _signature(function) != signature:
            return f"{name} is not {signature}"
        missing = sorted(names.difference(_names(function.__code__)))
        if missing:
            return f"{name} does not use {missing[0]}"
    return None


def _function(path: str) -> FunctionType | None:
    """Return the library's own function, without the wrappers of other code, or None if it does not exist."""
    try:
        function = inspect.unwrap(pkgutil.resolve_name(_VOICE + path))
    except (ImportError, AttributeError, ValueError):
        return None
    return function if inspect.isfunction(function) else None


def _signature(function: FunctionType) -> str:
    """Return the signature without annotations, preceded by ``async`` for a coroutine function."""
    parameters = inspect.signature(function).parameters.values()
    bare = inspect.Signature([parameter.replace(annotation=parameter.empty) for parameter in parameters])
    return f"async {bare}" if inspect.iscoroutinefunction(function) else str(bare)


def _names(code: CodeType) -> set[str]:
    """Return the names that code uses: variables, attributes, keywords, strings given to getattr."""
    constants = [word for constant in code.co_consts for word in (constant if type(constant) is tuple else [constant])]
    inner = (_names(constant) for constant in constants if isinstance(constant, CodeType))
    return {*code.co_names, *(word for word in constants if isinstance(word, str))}.union(*inner)


def _names_in_order(path: str) -> str:
    """Return the names of variables and attributes in the order in which a function (it must exist) uses them."""
    names: list[Any] = []
    for instruction in dis.get_instructions(_function(path)):  # type: ignore[arg-type]
        if instruction.opcode not in dis.hasconst:
            # From Python 3.13 on, one instruction may load or store two variables.
            names += instruction.argval if isinstance(instruction.argval, tuple) else [instruction.argval]
    return " ".join(name for name in names if isinstance(name, str))
