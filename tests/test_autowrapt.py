"""AUTOWRAPT_BOOTSTRAP=onenter_deadlock_fix is enough where autowrapt 2 is installed."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from test_activation import LAYERS, PATCHED_ONCE

Output = Callable[..., Any]

AUTOWRAPT = {"AUTOWRAPT_BOOTSTRAP": "onenter_deadlock_fix"}


@pytest.mark.parametrize("also", ["", "import onenter_deadlock_fix\n"])
def test_library_is_patched_once(also: str, output_afresh: Output) -> None:
    assert output_afresh(f"{also}import livekit.agents\n{LAYERS}\nreport()", env=AUTOWRAPT) == PATCHED_ONCE


def test_deactivate_holds(output_afresh: Output) -> None:
    source = (
        f"import onenter_deadlock_fix; onenter_deadlock_fix.deactivate()\nimport livekit.agents\n{LAYERS}\nreport()"
    )
    assert output_afresh(source, env=AUTOWRAPT) == ["off", 0, 0]
