"""Whatever goes wrong in detection, the program goes on, and so does detection as far as it can."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from detecting import PROGRAM

Tell = Callable[..., Any]

PLAY = """
import asyncio, json, logging, os, sys
sys.path.insert(0, FOLDER)
import detection_program
SPOIL
async def main():
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(str(context)))
    playing = asyncio.ensure_future(detection_program.PROGRAM())
    for _ in range(20):
        if playing.done():
            break
        await asyncio.sleep(0.1)
    first_lines = [record["said"].splitlines()[0] for record in detection_program.records]
    print(json.dumps([playing.done() and not playing.exception(), errors, first_lines]))
    sys.stdout.flush()
    os._exit(0)
asyncio.run(main())
"""
DEADLOCK = "deadlock: the handoff to Name waits for itself"
ERROR = "an error while looking at the changes of an agent, which are left alone"

BROKEN_HANDLER = """
class Broken(logging.Handler):
    def handle(self, record):
        raise RuntimeError("the program's own logging is broken")
detection_program.logger.addHandler(Broken())
"""
BROKEN_LOOK = """
import onenter_deadlock_fix.detection.check as check
check.LivekitEdges = None
"""
TWICE_BROKEN_LOOK = """
import onenter_deadlock_fix.detection.check as check
def broken(loop):
    if attempts:
        attempts.pop()
        raise RuntimeError("out of order")
    return right(loop)
attempts, right, check.LivekitEdges = [1, 2], check.LivekitEdges, broken
"""
OTHER_LOOP = """
class Loop(asyncio.SelectorEventLoop):
    def call_later(self, delay, callback, *args, context=None):
        if "_tick" in str(callback):
            raise NotImplementedError
        return super().call_later(delay, callback, *args, context=context)
asyncio.set_event_loop_policy(type("Policy", (asyncio.DefaultEventLoopPolicy,), {"_loop_factory": Loop})())
"""


def play(tell: Tell, program: str, mode: str, spoil: str) -> Any:
    source = PLAY.replace("FOLDER", repr(str(PROGRAM.parent))).replace("SPOIL", spoil).replace("PROGRAM", program)
    return tell(source, env={"ONENTER_DEADLOCK_FIX_DETECT": mode, "ONENTER_DEADLOCK_FIX_DETECT_AFTER": "0.1"})


@pytest.mark.parametrize(
    ("spoil", "said"), [(BROKEN_HANDLER, [DEADLOCK]), (BROKEN_LOOK, [ERROR]), (TWICE_BROKEN_LOOK, [ERROR, DEADLOCK])]
)
def test_error_in_a_look_is_logged_once_and_the_next_look_is_taken(spoil: str, said: list[str], tell: Tell) -> None:
    over, errors, first_lines = play(tell, "nested", "report", spoil)
    assert (over, errors) == (False, [])
    if spoil is BROKEN_HANDLER:  # what may not have been logged is logged again
        assert set(first_lines) == {*said, ERROR}
        assert first_lines.count(ERROR) == 1
    else:
        assert first_lines == said


@pytest.mark.parametrize("spoil", [BROKEN_HANDLER, TWICE_BROKEN_LOOK])
def test_handoff_is_let_go_all_the_same(spoil: str, tell: Tell) -> None:
    over, errors, _ = play(tell, "nested", "resolve", spoil)
    assert (over, errors) == (True, [])


def test_handoff_goes_on_in_an_event_loop_that_cannot_be_watched(tell: Tell) -> None:
    over, errors, first_lines = play(tell, "quick", "report", OTHER_LOOP)
    assert (over, errors) == (True, [])
    assert first_lines == ["changes of an agent can't be watched in this event loop"]


CIRCULAR = """
import asyncio, json
import livekit.agents
from onenter_deadlock_fix.detection.stack import stack
class Iterator:
    def __await__(self):
        return self
    def __next__(self):
        future = asyncio.get_running_loop().create_future()
        future._asyncio_future_blocking = True
        return future
async def waiting(iterator):
    await iterator
async def main():
    iterator = Iterator()
    iterator.awaited_by = waiting(iterator)
    task = asyncio.create_task(iterator.awaited_by)
    await asyncio.sleep(0)
    print(json.dumps([frame.f_code.co_name for _, frame in stack(task)]))
asyncio.new_event_loop().run_until_complete(main())
"""


def test_iterator_that_holds_who_awaits_it_is_come_to_an_end_of(tell: Tell) -> None:
    assert tell(CIRCULAR) == ["waiting"]
