"""How tests wait: a machine that stands still for a while changes nothing of what they see."""

import asyncio
import itertools
import math
import threading
from types import SimpleNamespace

import pytest
from hypothesis import settings

from tests.kit import waiting
from tests.kit.clock import ManualClock
from tests.kit.virtual_time import elapse
from tests.kit.waiting import NotSoError, settled


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 100 seconds pass between any two looks at the clock."""
    moments = itertools.count(step=100)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: next(moments)))


@pytest.mark.usefixtures("stalled")
async def test_a_machine_that_stood_still_saw_no_quiet() -> None:
    looks = itertools.count()
    assert await settled(lambda: min(next(looks), 10), for_s=0.1, deadline_s=math.inf) == 10
    assert next(looks) >= 30, "twenty looks in a row found it the same"


@pytest.mark.usefixtures("stalled")
async def test_what_never_stops_changing_is_not_settled() -> None:
    looks = itertools.count()
    with pytest.raises(NotSoError, match="still changes after 10 s"):
        await settled(lambda: next(looks))


async def test_virtual_time_goes_on_once_threads_have_ended() -> None:
    clock, gate, ended = ManualClock(), threading.Event(), []

    async def works() -> None:
        await clock.sleep(1)
        await asyncio.to_thread(gate.wait)
        ended.append(clock.monotonic())

    work = asyncio.create_task(works())
    opens = threading.Timer(0.5, gate.set)
    opens.start()
    began = clock.monotonic()
    await waiting.one_turn()
    await elapse(clock, 30, step_s=1)
    await work
    opens.join()
    assert ended == [began + 1], "no second passed while the thread was at work"


def test_no_example_of_a_property_is_measured_by_the_clock_on_the_wall() -> None:
    assert settings.default is not None
    assert (settings.default.deadline, settings(max_examples=1).deadline) == (None, None)
