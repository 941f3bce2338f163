"""Guests that nothing hurries wait while the workers are behind, and are all looked at in the end."""

import asyncio

from innkeeper.workers.looking_again import LookingAgain
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually, settled


async def test_who_is_being_built_goes_first_and_each_is_looked_at_once() -> None:
    clock, looked, is_busy = ManualClock(), list[str](), True
    again = LookingAgain(clock=clock, busy=lambda: is_busy, look=looked.append)
    task = asyncio.create_task(again.run())
    try:
        again.add(["a", "b"])
        again.add(["b", "c"])
        await eventually(lambda: clock.sleepers == 1)
        clock.advance(1)
        await eventually(lambda: clock.sleepers == 1)
        assert looked == []
        is_busy = False
        clock.advance(1)
        await eventually(lambda: looked == ["a", "b", "c"])
        again.add(["a"])
        await eventually(lambda: looked[3:] == ["a"])
        assert await settled(lambda: len(looked)) == 4
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
