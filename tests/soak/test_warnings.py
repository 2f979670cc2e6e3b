"""In development mode, asyncio's debug mode included, the shim brings no warning with it."""

from __future__ import annotations

import json
import re
import sys

import pytest
from programs import TESTS, Completed, run


def in_development_mode(module: str, *arguments: str, **environment: str) -> Completed:
    command = [sys.executable, "-X", "dev", "-m", module, *arguments]
    child = run(command, cwd=TESTS, env={"PYTHONASYNCIODEBUG": "1", **environment})
    assert child.returncode == 0, child.stderr
    return child


def soak(handoffs: int, **environment: str) -> Completed:
    return in_development_mode("soak", "--sessions", "2", "--handoffs", str(handoffs), **environment)


def lines(child: Completed) -> set[str]:
    """Return what went to stderr, without addresses, and without what asyncio says of callbacks that took long."""
    kept = (line for line in child.stderr.splitlines() if not re.fullmatch(r"Executing <.*> took .* seconds", line))
    return {re.sub(r"0x[0-9a-f]+", "0x", line) for line in kept}


def test_handoffs_bring_no_warning_that_a_session_without_them_and_without_the_shim_has_not() -> None:
    child = soak(handoffs=10)
    without = soak(handoffs=0, ONENTER_DEADLOCK_FIX="off")

    assert json.loads(child.stdout)["state"] == "patched"
    assert json.loads(without.stdout)["state"] == "off"
    assert lines(child) - lines(without) == set()


@pytest.fixture(scope="module")
def faults() -> Completed:
    return in_development_mode("soak.faults", "--loops", "12", "--places", "tool")


def test_no_fault_brings_a_warning_about_the_shim(faults: Completed) -> None:
    said = {line for line in lines(faults) if "onenter_deadlock_fix" in line}
    # the scripted model is ours too, but it is not the shim
    assert {line for line in said if "onenter_deadlock_fix/verify/" not in line.replace("\\", "/")} == set()


def test_no_fault_leaves_a_coroutine_of_the_shim_unawaited(faults: Completed) -> None:
    never_awaited = set(re.findall(r"coroutine '(.+)' was never awaited", faults.stderr))
    from_the_library = {name for name in never_awaited if name.split(".")[0] in ("AgentActivity", "AgentSession")}
    assert never_awaited - from_the_library == set()
