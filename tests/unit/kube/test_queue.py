"""The queue: what is in it twice is done once, never by two at a time, and failures wait longer each time."""

import asyncio

import pytest

from innkeeper.kube.queue import LatestQueue
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually, one_turn


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> LatestQueue[str]:
    return LatestQueue(clock)


async def taken(queue: LatestQueue[str]) -> str | None:
    """Take what is ready now, or None."""
    try:
        async with asyncio.timeout(0.02):
            return await queue.take()
    except TimeoutError:
        return None


async def test_keys_come_in_order_and_once(queue: LatestQueue[str]) -> None:
    for key in ("a", "b", "a", "c", "b"):
        queue.add(key)
    assert len(queue) == 3
    assert [await taken(queue) for _ in range(4)] == ["a", "b", "c", None]


async def test_a_key_is_never_worked_on_twice_at_a_time(queue: LatestQueue[str]) -> None:
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("a")
    queue.add("a")
    assert await taken(queue) is None
    queue.done("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue) is None


async def test_a_waiting_worker_wakes(queue: LatestQueue[str]) -> None:
    worker = asyncio.create_task(queue.take())
    await one_turn()
    queue.add("a")
    assert await worker == "a"


async def test_each_of_several_waiting_workers_gets_a_key(queue: LatestQueue[str]) -> None:
    workers = [asyncio.create_task(queue.take()) for _ in range(3)]
    await one_turn()
    for key in ("a", "b", "c"):
        queue.add(key)
    assert sorted(await asyncio.gather(*workers)) == ["a", "b", "c"]


async def test_a_later_key_comes_when_it_is_due(queue: LatestQueue[str], clock: ManualClock) -> None:
    queue.add("late", after_s=10)
    queue.add("early", after_s=5)
    worker = asyncio.create_task(queue.take())
    await eventually(lambda: clock.sleepers == 1)
    clock.advance(4.9)
    await one_turn()
    assert not worker.done()
    clock.advance(0.2)
    assert await worker == "early"
    assert await taken(queue) is None
    clock.advance(5)
    assert await taken(queue) == "late"


async def test_an_earlier_wish_wakes_who_waits_for_a_later_one(
    queue: LatestQueue[str], clock: ManualClock
) -> None:
    queue.add("a", after_s=100)
    worker = asyncio.create_task(queue.take())
    await eventually(lambda: clock.sleepers == 1)
    queue.add("b", after_s=1)
    await eventually(lambda: clock.next_s == 1)
    clock.advance(1)
    assert await worker == "b"


@pytest.mark.parametrize(("first", "second"), [(10, 2), (2, 10)])
async def test_the_earlier_of_two_wishes_counts(
    queue: LatestQueue[str], clock: ManualClock, first: float, second: float
) -> None:
    queue.add("a", after_s=first)
    queue.add("a", after_s=second)
    assert len(queue) == 1
    clock.advance(2)
    assert await taken(queue) == "a"
    queue.done("a")
    clock.advance(10)
    assert await taken(queue) is None


async def test_now_comes_before_later(queue: LatestQueue[str], clock: ManualClock) -> None:
    queue.add("a", after_s=10)
    queue.add("a")
    assert await taken(queue) == "a"
    queue.done("a")
    clock.advance(11)
    assert await taken(queue) is None


async def test_failures_wait_twice_as_long_each_time_up_to_a_cap(
    queue: LatestQueue[str], clock: ManualClock
) -> None:
    queue.add("a")
    delays = []
    for _ in range(10):
        assert await taken(queue) == "a"
        delay = queue.failed("a")
        delays.append(delay)
        clock.advance(delay * 0.9)
        assert await taken(queue) is None
        clock.advance(delay * 0.11)
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_success_and_oblivion_end_the_back_off(queue: LatestQueue[str], clock: ManualClock) -> None:
    for end in (queue.done, queue.forget):
        for _ in range(3):
            queue.add("a")
            await taken(queue)
            delay = queue.failed("a")
            clock.advance(delay)
        assert await taken(queue) == "a"
        end("a")
        queue.done("a")
        queue.add("a")
        await taken(queue)
        assert queue.failed("a") == 0.25
        queue.forget("a")


async def test_one_key_that_fails_does_not_hold_the_others(queue: LatestQueue[str]) -> None:
    queue.add("bad")
    queue.add("good")
    assert await taken(queue) == "bad"
    queue.failed("bad")
    assert await taken(queue) == "good"


async def test_a_server_that_asks_for_a_pause_gets_it(queue: LatestQueue[str]) -> None:
    queue.add("a")
    await taken(queue)
    assert queue.failed("a", at_least_s=7) == 7


async def test_what_is_forgotten_does_not_come_later(queue: LatestQueue[str], clock: ManualClock) -> None:
    queue.add("a", after_s=5)
    queue.forget("a")
    clock.advance(6)
    assert await taken(queue) is None


async def test_a_cancelled_worker_loses_no_key(queue: LatestQueue[str]) -> None:
    worker = asyncio.create_task(queue.take())
    await one_turn()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    queue.add("a")
    assert await taken(queue) == "a"


async def test_the_oldest_key_that_waits_for_a_worker_has_an_age(
    queue: LatestQueue[str], clock: ManualClock
) -> None:
    assert queue.oldest_age_s() == 0
    queue.add("a")
    clock.advance(5)
    queue.add("b")
    queue.add("later", after_s=60)
    clock.advance(2)
    queue.add("a")
    assert (queue.waiting, queue.oldest_age_s()) == (2, 7)
    assert await taken(queue) == "a"
    assert (queue.waiting, queue.oldest_age_s()) == (1, 2)
