"""A leader that cannot renew stops before anybody else may start; a heartbeat outlives every trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from innkeeper.clock import SystemClock
from innkeeper.kube.client import Client
from innkeeper.kube.lease import Heartbeat, LeaderElection, LeadershipLostError
from innkeeper.kube.resources import LEASES
from tests.kit.clock import ManualClock
from tests.kit.fake_api import FakeApi
from tests.kit.waiting import eventually, one_turn

DURATION_S = 15.0


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as fake:
        yield fake


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with Client(api.credentials(), request_timeout_s=5) as found:
        yield found


def more_calls(api: FakeApi, than: int) -> Callable[[], bool]:
    return lambda: len(api.called("* leases *")) > than


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("trouble", ["down", "refused", "conflict"])
async def test_a_leader_that_cannot_renew_stops_before_others_may_start(
    api: FakeApi, client: Client, trouble: str
) -> None:
    clock = ManualClock()
    election = LeaderElection(client, namespace="default", name="l", identity="a", clock=clock)
    leading = asyncio.create_task(election.run(forever))
    await eventually(lambda: election.leading and clock.sleepers)
    written_at = clock.monotonic()
    if trouble == "down":
        await api.down()
    else:
        api.faults.fail("patch leases *", status=500 if trouble == "refused" else 409, times=None)
    while not leading.done():
        await eventually(lambda: clock.sleepers or leading.done())
        assert clock.monotonic() - written_at < DURATION_S, "it leads longer than its Lease"
        clock.advance(min(0.5, max(clock.next_s, 0)) if clock.sleepers else 0)
        await one_turn()
    with pytest.raises(LeadershipLostError, match="in time"):
        leading.result()
    assert clock.monotonic() - written_at >= DURATION_S / 2, "it gave up without trying again"


async def test_a_short_trouble_ends_no_leader(api: FakeApi, client: Client) -> None:
    clock = ManualClock()
    election = LeaderElection(client, namespace="default", name="l", identity="a", clock=clock)
    leading = asyncio.create_task(election.run(forever))
    await eventually(lambda: election.leading and clock.sleepers)
    for _ in range(5):
        fault = api.faults.fail("patch leases *", status=503, times=2)
        before = len(api.writes("patch leases *"))
        while len(api.writes("patch leases *")) == before:
            await eventually(lambda: clock.sleepers)
            asked = len(api.called("* leases *"))
            clock.advance(clock.next_s)
            await eventually(more_calls(api, asked))
            await eventually(lambda: clock.sleepers)
        assert len(fault.met) == 2
    assert election.leading
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)


async def test_a_renewal_that_hangs_costs_the_leadership_in_time(api: FakeApi) -> None:
    async with Client(api.credentials(), request_timeout_s=60) as client:
        election = LeaderElection(
            client,
            namespace="default",
            name="l",
            identity="a",
            clock=SystemClock(),
            duration_s=1,
            renew_s=0.1,
        )
        leading = asyncio.create_task(election.run(forever))
        await eventually(lambda: election.leading)
        api.faults.hold("patch leases *", times=None)
        async with asyncio.timeout(10):
            with pytest.raises(LeadershipLostError):
                await leading


async def test_whoever_is_cancelled_frees_the_lease_and_does_not_wait_long_for_it(
    api: FakeApi, client: Client
) -> None:
    for hangs in (False, True):
        name = "hangs" if hangs else "answers"
        election = LeaderElection(client, namespace="default", name=name, identity="a", clock=SystemClock())
        leading = asyncio.create_task(election.run(forever))
        await eventually(partial(getattr, election, "leading"))
        if hangs:
            api.faults.hold("* leases *", times=None)
        leading.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(leading, return_exceptions=True)
        held = api.get(LEASES, name, namespace="default")
        assert held is not None
        assert held["spec"]["holderIdentity"] == ("a" if hangs else "")


async def test_the_election_waits_out_a_server_that_is_away(api: FakeApi, client: Client) -> None:
    clock = ManualClock()
    await api.down()
    election = LeaderElection(client, namespace="default", name="l", identity="a", clock=clock)
    leading = asyncio.create_task(election.run(forever))
    for _ in range(3):
        await eventually(lambda: clock.sleepers)
        clock.advance(clock.next_s)
        await one_turn()
    assert not leading.done()
    await api.up()

    def leads() -> bool:
        if clock.sleepers and not election.leading:
            clock.advance(clock.next_s)
        return election.leading

    await eventually(leads)
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)


async def test_a_heartbeat_goes_on_after_every_trouble(api: FakeApi, client: Client) -> None:
    clock = ManualClock()
    heartbeat = Heartbeat(client, namespace="default", name="heartbeat", identity="s", clock=clock)
    beating = asyncio.create_task(heartbeat.run())
    for status in (500, 429, 401, 403, 409):
        await eventually(lambda: clock.sleepers)
        fault = api.faults.fail("patch leases *", status=status)
        clock.advance(10)
        await eventually(partial(getattr, fault, "met"))
    await eventually(lambda: clock.sleepers)
    clock.advance(10)
    written = len(api.writes("patch leases *"))
    await eventually(lambda: len(api.writes("patch leases *")) > written or clock.sleepers)
    held = api.get(LEASES, "heartbeat", namespace="default")
    assert held is not None
    await eventually(lambda: _renewed(api) == clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


def _renewed(api: FakeApi) -> str:
    held = api.get(LEASES, "heartbeat", namespace="default")
    return str(held["spec"]["renewTime"]) if held else ""
