"""On 1.2.3 the pattern completes with OpenAI's realtime model, whose session is closed while an AgentTask is on."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Callable

from openai_endpoint import ADDRESS, CONFIRMATION, GOODBYE, QUESTION, Endpoint
from prepared import OldReleaseWithRealtimeModel, Prepared
from processes import HERE, Activation
from programs import LIMIT


def test_the_pattern_completes_with_the_realtime_model_of_1_2_3(
    start: Callable[..., subprocess.Popen[bytes]],
    endpoint: Endpoint,
    prepared: Callable[[type[Prepared]], Prepared],
) -> None:
    release = prepared(OldReleaseWithRealtimeModel)
    how = Activation(environment={"PYTHONPATH": str(release.folder)})
    program = start(how, "realtime", str(HERE / "realtime_program.py"), stdout=subprocess.PIPE)
    outcome: dict[str, Any] = json.loads(program.communicate(timeout=LIMIT)[0])
    assert outcome == {
        **{"release": "1.2.3", "plugin": "1.2.3", "state": "patched", "handoffs": 1},
        "ended": f"collected {ADDRESS}",
    }
    assert endpoint.said == [QUESTION, CONFIRMATION, GOODBYE]
