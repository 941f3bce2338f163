"""A heartbeat that one process alone gives: who comes second ends, who is gone is taken over from, and clocks may lie."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.resources import LEASES
from innkeeper.kube.sole_heartbeat import AnotherHolderError, Holder, SoleHeartbeat
from tests.kit.clock import ManualClock
from tests.kit.fake_api import FakeApi
from tests.kit.waiting import eventually, settled

PERIOD_S = 10.0


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as made:
        yield made


class WholePeriods(Random):
    """Draws the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


class Process:
    """One process that beats, by a clock of its own."""

    def __init__(
        self,
        client: Client,
        identity: str,
        *,
        follows: str | None = None,
        is_gone: bool = False,
        lease: str = "heartbeat",
        random: Random | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.kept = 0
        self.heartbeat = SoleHeartbeat(
            client,
            namespace="default",
            name=lease,
            holder=Holder(identity=identity, follows=follows, is_gone=is_gone, keep=self._keep),
            labels={"l": "x"},
            clock=self.clock,
            random=random or WholePeriods(),
        )
        self.task = asyncio.create_task(self.heartbeat.run(period_s=PERIOD_S, duration_s=40))

    async def _keep(self) -> None:
        self.kept += 1

    @property
    def ended(self) -> bool:
        return self.task.done()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for this process, beat by beat."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end and not self.ended:
            await eventually(lambda: self.clock.sleepers or self.ended)
            self.clock.advance(min(self.clock.next_s, end - self.clock.monotonic()) if not self.ended else 0)
        await eventually(lambda: self.clock.sleepers or self.ended)


@asynccontextmanager
async def process(
    api: FakeApi, identity: str, *, follows: str | None = None, is_gone: bool = False
) -> AsyncIterator[Process]:
    async with Client(api.credentials()) as client:
        made = Process(client, identity, follows=follows, is_gone=is_gone)
        await eventually(lambda: made.clock.sleepers)
        try:
            yield made
        finally:
            made.task.cancel()
            await asyncio.gather(made.task, return_exceptions=True)


def holder(api: FakeApi) -> str | None:
    found = api.get(LEASES, "heartbeat", namespace="default")
    return found["spec"]["holderIdentity"] if found else None


async def test_the_second_of_two_ends_and_says_why(api: FakeApi) -> None:
    async with process(api, "store-1") as first, process(api, "store-2") as second:
        assert (first.heartbeat.ours.is_set(), second.heartbeat.ours.is_set()) == (True, False)
        await first.pass_time(PERIOD_S)
        await second.pass_time(PERIOD_S)
        assert second.ended
        with pytest.raises(AnotherHolderError, match=r"store-1.*one host has one agent"):
            await second.task
        assert second.task.exception().reason == "AnotherAgent"  # type: ignore[union-attr] # it is one
        await first.pass_time(10 * PERIOD_S)
        assert (holder(api), first.ended) == ("store-1", False)


async def test_one_that_is_gone_is_taken_over_from_after_three_periods(api: FakeApi) -> None:
    async with process(api, "store-1") as first:
        assert first.heartbeat.undisputed.is_set()
    async with process(api, "store-2") as second:
        await second.pass_time(3 * PERIOD_S - 3)
        assert holder(api) == "store-1"
        await second.pass_time(4)
        assert holder(api) == "store-2"


async def test_one_that_returns_after_it_was_taken_over_from_ends(api: FakeApi) -> None:
    async with process(api, "store-1") as first, process(api, "store-2") as second:
        await second.pass_time(4 * PERIOD_S)  # the first is cut off all the while
        assert holder(api) == "store-2"
        for _ in range(3):  # it meets a conflict, looks who wrote, and sees that one write again
            await first.pass_time(PERIOD_S)
            await second.pass_time(PERIOD_S)
        assert (first.ended, second.ended) == (True, False)


async def test_a_process_follows_the_one_before_it_at_once(api: FakeApi) -> None:
    async with process(api, "store-1/a") as first:
        assert first.kept == 1
    async with process(api, "store-1/b", follows="store-1/a") as again:
        assert again.heartbeat.ours.is_set()
        assert (holder(api), again.kept) == ("store-1/b", 1)
        assert not again.heartbeat.undisputed.is_set()
        await again.pass_time(1.5 * PERIOD_S)
        assert again.heartbeat.undisputed.is_set()
    async with process(api, "store-1/c", follows="store-1/b", is_gone=True) as once_more:
        assert once_more.heartbeat.undisputed.is_set()


async def test_a_lease_that_was_put_back_to_an_older_copy_is_taken_before_it_ends(api: FakeApi) -> None:
    async with process(api, "store-1/a"):
        pass
    async with process(api, "store-1/b", follows="store-1/a", is_gone=True) as again:
        old = {"spec": {"holderIdentity": "store-1/a", "renewTime": "2025-12-31T23:59:00.000000Z"}}
        api.patch(LEASES, "heartbeat", old, namespace="default")
        await again.pass_time(3 * PERIOD_S)
        assert (again.ended, holder(api)) == (False, "store-1/b")


async def test_a_process_that_never_held_the_lease_is_followed_by_nobody(api: FakeApi) -> None:
    async with process(api, "store-1/a"), process(api, "store-2/a") as second:
        assert second.kept == 0


async def test_of_a_process_and_a_copy_of_what_it_knows_the_copy_ends(api: FakeApi) -> None:
    async with process(api, "store-1/a") as first, process(api, "store-1/b", follows="store-1/a") as copy:
        assert holder(api) == "store-1/b"
        for _ in range(4):  # each meets a conflict and looks; then the copy sees that the first renews
            await first.pass_time(1.4 * PERIOD_S)  # it began a beat within one, and looked a fifth later
            await copy.pass_time(1.5 * PERIOD_S)
        assert not copy.heartbeat.undisputed.is_set()
        assert (first.ended, copy.ended, holder(api)) == (False, True, "store-1/a")
        with pytest.raises(AnotherHolderError, match=r"store-1/a.*a state directory of its own"):
            await copy.task
        async with process(api, "store-1/c", follows="store-1/b") as restarted:
            assert holder(api) == "store-1/a"
            await first.pass_time(PERIOD_S)
            await restarted.pass_time(PERIOD_S)
            assert (first.ended, restarted.ended, holder(api)) == (False, True, "store-1/a")


async def test_copies_that_begin_after_the_process_has_restarted_take_nothing(api: FakeApi) -> None:
    async with process(api, "store-1/a"):
        pass
    async with (
        process(api, "store-1/b", follows="store-1/a") as again,
        process(api, "store-1/c", follows="store-1/a") as copy,
    ):
        await again.pass_time(1.5 * PERIOD_S)
        await copy.pass_time(PERIOD_S)
        assert (again.ended, copy.ended, holder(api)) == (False, True, "store-1/b")


async def test_a_lease_that_somebody_deleted_goes_back_to_who_held_it(api: FakeApi) -> None:
    async with process(api, "store-1/a") as first, process(api, "store-1/c", follows="store-1/b") as copy:
        api.delete(LEASES, "heartbeat", namespace="default")
        await copy.pass_time(0.5 * PERIOD_S)
        assert holder(api) is None, "who watches waits for who is alive"
        await first.pass_time(PERIOD_S)
        await copy.pass_time(0.5 * PERIOD_S)
        await first.pass_time(PERIOD_S)
        await copy.pass_time(0.5 * PERIOD_S)
        assert (first.ended, copy.ended, holder(api)) == (False, True, "store-1/a")


async def test_a_copy_that_starts_while_the_lease_is_gone_ends(api: FakeApi) -> None:
    async with process(api, "store-1/a") as first:
        api.delete(LEASES, "heartbeat", namespace="default")
        async with process(api, "store-1/c", follows="store-1/b", is_gone=True) as copy:
            assert (holder(api), copy.heartbeat.is_disputed) == ("store-1/c", True)
            for _ in range(4):
                await first.pass_time(1.4 * PERIOD_S)
                await copy.pass_time(1.5 * PERIOD_S)
            assert not copy.heartbeat.undisputed.is_set()
            assert (first.ended, copy.ended, holder(api)) == (False, True, "store-1/a")


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_jumps_ends_nobody(api: FakeApi, hours: int) -> None:
    async with process(api, "store-1") as first:
        first.clock.set_wall(first.clock.now() + timedelta(hours=hours))
        await first.pass_time(5 * PERIOD_S)
        assert (first.ended, holder(api)) == (False, "store-1")


async def test_what_somebody_else_writes_to_the_lease_or_its_deletion_ends_nobody(api: FakeApi) -> None:
    async with process(api, "store-1") as first:
        api.patch(LEASES, "heartbeat", {"metadata": {"labels": {"seen": "yes"}}}, namespace="default")
        await first.pass_time(2 * PERIOD_S)
        api.delete(LEASES, "heartbeat", namespace="default")
        await first.pass_time(2 * PERIOD_S)
        assert (first.ended, holder(api)) == (False, "store-1")


async def test_it_goes_on_after_every_trouble(api: FakeApi) -> None:
    async with process(api, "store-1") as first:
        for status in (500, 429, 401, 403, 409, 503):
            api.faults.fail("patch leases *", status=status)
            await first.pass_time(2 * PERIOD_S)
        written = len(api.writes("patch leases *"))
        await first.pass_time(PERIOD_S)
        assert len(api.writes("patch leases *")) == written + 1
        await settled(lambda: first.ended, for_s=0.05)


async def test_processes_that_began_at_the_same_moment_do_not_beat_at_the_same_moment_for_ever(
    api: FakeApi,
) -> None:
    """Hosts that got power together would all write together, and whoever builds a guest then would wait for them."""
    async with Client(api.credentials()) as client:
        hosts = [
            Process(client, f"store-{n}", lease=f"host-{n}", random=Random(n))  # noqa: S311 - to be the same each time
            for n in range(20)
        ]
        try:
            for each in hosts:
                await eventually(lambda each=each: each.clock.sleepers)
                await each.pass_time(10 * PERIOD_S)
            waits = [each.clock.next_s for each in hosts]  # all of them 10 periods after they began
            assert max(waits) <= PERIOD_S
            assert max(waits) - min(waits) > PERIOD_S / 4
        finally:
            for each in hosts:
                each.task.cancel()
            await asyncio.gather(*(each.task for each in hosts), return_exceptions=True)
