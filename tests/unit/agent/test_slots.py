"""Slots: bounded, by rank, and none is lost to those who stop waiting."""

import asyncio

from innkeeper.agent.slots import Slots
from tests.kit.waiting import one_turn


async def _hold(slots: Slots, rank: int, entered: list[int], leave: asyncio.Event) -> None:
    async with slots.taken((rank,)):
        entered.append(rank)
        await leave.wait()


async def _turns() -> None:
    for _ in range(10):
        await one_turn()


async def test_the_lowest_rank_goes_first_and_no_more_than_there_is_room_for() -> None:
    slots, entered, leave = Slots(2), list[int](), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for rank in (5, 6, 3, 1, 2):
            tasks.create_task(_hold(slots, rank, entered, leave))
            await _turns()
        assert entered == [5, 6]
        leave.set()
    assert entered == [5, 6, 1, 2, 3]


async def test_who_stops_waiting_takes_no_slot_with_it() -> None:
    slots, entered, leave = Slots(1), list[int](), asyncio.Event()
    first = asyncio.create_task(_hold(slots, 1, entered, leave))
    await _turns()
    waiting = asyncio.create_task(_hold(slots, 2, entered, leave))
    last = asyncio.create_task(_hold(slots, 3, entered, leave))
    await _turns()
    leave.set()
    await one_turn()  # the first wakes and gives its slot to the second ...
    await one_turn()
    waiting.cancel()  # ... which is cancelled at the same moment
    await asyncio.gather(first, waiting, last, return_exceptions=True)
    async with asyncio.timeout(1), slots.taken((9,)):
        assert entered[0] == 1
        assert entered[-1] == 3
