"""Detection is asked for, or no longer, while something hangs."""

from __future__ import annotations

import asyncio

from recorder import recorder

import onenter_deadlock_fix

from .deadlocks import nested, slow

AFTER = 0.1


async def in_turn(modes: list[str]) -> list[list[str]]:
    """Switch while a handoff hangs; return the levels of what was logged in each mode."""
    hanging = asyncio.ensure_future(nested())
    await asyncio.sleep(0.5)
    told = []
    for mode in modes:
        before = len(recorder().records)
        onenter_deadlock_fix.detect(mode, after=AFTER)  # type: ignore[arg-type]
        await asyncio.sleep(1)
        told.append([record.levelname for record in recorder().records[before:]])
    if "resolve" in modes:
        await hanging
    return told


async def deactivated() -> list[str]:
    """The shim is deactivated before a handoff that hangs has waited for long enough."""
    hanging = asyncio.ensure_future(nested())
    await asyncio.sleep(0.1)
    onenter_deadlock_fix.deactivate()
    await asyncio.sleep(1)
    assert not hanging.done()
    return [record.levelname for record in recorder().records]


async def slow_and_switched_off() -> None:
    """Detection is switched off before a handoff that takes its time has waited for long enough."""
    going_on = asyncio.ensure_future(slow())
    await asyncio.sleep(0.1)
    onenter_deadlock_fix.detect("off")
    await going_on
