"""Decide whether this livekit-agents needs the patch, by its release and its code. Patches nothing itself.

The code is compared by signatures and by the names that it uses. That can't prove that a vendor's build behaves like
the release with the same version number: one in which ``_update_activity`` drops the blocked tasks is patched anyway.
"""

from __future__ import annotations

import dis
import inspect
import operator
import os
import sys
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


def read_switch() -> tuple[str, list[str]]:
    """Return how ``ONENTER_DEADLOCK_FIX`` switches the fix off, or "", and a list of warnings."""
    value = os.environ.get(SWITCH, "")
    word = value.strip().lower()
    if word in OFF_WORDS:
        return f"switched off by {SWITCH}={value}", []
    known = f"{', '.join(OFF_WORDS)} mean off"
    return "", [] if word in ("", *ON_WORDS) else [f"{SWITCH}={value} is not a known value and means on ({known})"]


def examine() -> Verdict:
    """Return the verdict on the livekit-agents that is imported, regardless of the switch."""
    release: Any = None
    try:
        from livekit.agents.version import __version__ as release

        version = Version(release)
    except (ImportError, InvalidVersion, TypeError):
        reason = f"not patched: its version is not valid by PEP 440: {release!r}"
        return Verdict("unrecognised", release and str(release), reason)
    name = f"livekit-agents {release}"
    if version < FIRST_AFFECTED:
        return Verdict("predates", release, f"{name} is older than AgentTask, which came with {FIRST_AFFECTED}")
    if version >= FIRST_FIXED:
        return Verdict("fixed-upstream", release, f"{name} has upstream's fix, which came with {FIRST_FIXED}")
    has_other_waits = version < FIRST_WITHOUT_OTHER_WAITS
    mismatch = first_mismatch(_HANDOFF)
    if mismatch is None and has_other_waits:
        from ._patch_before_1_2_6 import FINGERPRINT

        mismatch = first_mismatch(FINGERPRINT)
    if mismatch is None and not first_mismatch({_AWAIT_IMPL: (None, {"_on_enter_task"})}):
        if not _appends_on_enter_task():
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
    module, _, name = path.partition(":")
    try:
        function = inspect.unwrap(operator.attrgetter(name)(sys.modules[f"livekit.agents.voice.{module}"]))
    except (KeyError, AttributeError, ValueError):
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


def _appends_on_enter_task() -> bool:
    """Return whether ``AgentTask.__await_impl`` uses names in the order in which upstream's fix does."""
    names: list[Any] = []
    for instruction in dis.get_instructions(_function(_AWAIT_IMPL)):  # type: ignore[arg-type]
        if instruction.opcode not in dis.hasconst:
            # From Python 3.13 on, one instruction may load or store two variables.
            names += instruction.argval if isinstance(instruction.argval, tuple) else [instruction.argval]
    return "blocked_tasks append old_activity _on_enter_task" in " ".join(map(str, names))
