"""activate(), deactivate(), detect(), status() and Status do as the README and their docstrings say."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any

import pytest
from wrapped_methods import THE_LIBRARYS_OWN, WRAPPED_ONCE, methods, purge, wrappers

import onenter_deadlock_fix as shim

pytestmark = pytest.mark.in_fork  # where the package is imported, and livekit-agents is not

NOT_IMPORTED_YET = "livekit.agents is not imported yet"


def test_status_is_a_frozen_dataclass() -> None:
    before = {"state": "pending", "livekit_agents": None, "reason": NOT_IMPORTED_YET, "detection": "off", "handoffs": 0}
    assert dataclasses.asdict(shim.status()) == before
    import livekit.agents  # noqa: F401

    status = shim.status()
    assert isinstance(status, shim.Status)
    assert (status.state, status.livekit_agents, status.detection) == ("patched", "1.3.5", "off")
    assert "livekit/agents issue #4109" in status.reason
    with pytest.raises(dataclasses.FrozenInstanceError):
        status.state = "off"  # type: ignore[misc]


def test_only_the_api_is_exported() -> None:
    exported = ["Detection", "Mode", "State", "Status", "__version__", "activate", "deactivate", "detect", "status"]
    assert sorted(shim.__all__) == exported
    with pytest.raises(AttributeError, match="module 'onenter_deadlock_fix' has no attribute 'nothing'"):
        shim.nothing  # noqa: B018


def test_settings_before_the_import_of_the_library_are_in_the_status() -> None:
    os.environ["ONENTER_DEADLOCK_FIX_DETECT"] = "report"
    statuses = [shim.status(), shim.detect("resolve"), shim.status(), shim.deactivate(), shim.activate()]
    assert [(status.state, status.detection, status.reason) for status in statuses] == [
        ("pending", "report", NOT_IMPORTED_YET),
        ("pending", "resolve", NOT_IMPORTED_YET),
        ("pending", "resolve", NOT_IMPORTED_YET),
        ("off", "off", "switched off by deactivate()"),
        ("pending", "resolve", NOT_IMPORTED_YET),
    ]
    status = shim.detect("loud", after=0)  # type: ignore[arg-type]
    assert (status.state, status.detection) == ("pending", "report")
    assert "detect() with mode loud is not a known mode" in status.reason
    assert "detect() with after=0 is not a number of seconds" in status.reason


def test_deactivate_puts_the_librarys_own_functions_back_and_activate_patches_again() -> None:
    shim.deactivate()
    import livekit.agents  # noqa: F401

    assert (shim.status().state, shim.status().livekit_agents, wrappers()) == ("off", "1.3.5", THE_LIBRARYS_OWN)
    own = methods()
    for function, state in [
        (shim.activate, "patched"),
        (shim.activate, "patched"),
        (shim.deactivate, "off"),
        (shim.deactivate, "off"),
        (shim.activate, "patched"),
    ]:
        assert function().state == state
        assert wrappers() == (WRAPPED_ONCE if state == "patched" else THE_LIBRARYS_OWN)
        assert state == "patched" or methods() == own


@pytest.mark.parametrize("word", ["", "off"])
def test_detection_is_not_imported_unless_it_is_requested(word: str) -> None:
    os.environ["ONENTER_DEADLOCK_FIX_DETECT"] = word
    import livekit.agents  # noqa: F401

    assert [shim.status().state, shim.deactivate().state, shim.activate().state] == ["patched", "off", "patched"]
    assert not any(name.startswith("onenter_deadlock_fix.detection") for name in sys.modules)


def test_purged_package_goes_on_for_a_module_that_has_imported_it() -> None:
    import livekit.agents  # noqa: F401

    assert shim.status().state == "patched"
    purge("onenter_deadlock_fix")
    statuses = [shim.status(), shim.deactivate(), shim.activate(), shim.detect("report"), shim.status()]
    assert [(status.state, status.detection) for status in statuses] == [
        ("patched", "off"),
        ("off", "off"),
        ("patched", "off"),
        ("patched", "report"),
        ("patched", "report"),
    ]


AT_SHUTDOWN = """
import atexit, builtins, sys
import onenter_deadlock_fix as shim
LIBRARY

class Calls:
    def __del__(self):
        for call in (shim.status, shim.activate, shim.deactivate, shim.detect):
            call()
        print("called", flush=True)

atexit.register(Calls().__del__)
kept, builtins.kept, sys.kept, shim._activation.kept = Calls(), Calls(), Calls(), Calls()
kept.itself = kept
"""


@pytest.mark.in_fork(False)
@pytest.mark.parametrize("imported", ["", "import livekit.agents; shim.detect()"])
def test_api_raises_nothing_while_the_interpreter_shuts_down(imported: str, python: Any) -> None:
    ended = python(AT_SHUTDOWN.replace("LIBRARY", imported))
    assert ended.returncode == 0
    assert ended.stdout.count("called") >= 3  # some objects are never deleted
    assert "Exception ignored" not in ended.stderr
