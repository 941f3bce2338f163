"""One leader at a time, whatever clocks, crashes and other people do to its Lease; and heartbeats."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from innkeeper.clock import Clock, SystemClock, parse_rfc3339, rfc3339_micro
from innkeeper.kube.lease import Heartbeat, LeaderElection, LeadershipLostError
from innkeeper.kube.resources import LEASES
from innkeeper.kube.sole_heartbeat import LOOKS_PER_PERIOD, AnotherHolderError, Holder, SoleHeartbeat
from innkeeper.kube.views import Lease
from tests.integration.kube.conftest import Api
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually

NAME = "operator"
# Longer than a test waits for anything: what happens in time does not happen because a Lease ran out.
DURATION_S = 60
PATIENT_S = 30


class Candidate:
    """One who would lead, and whether it does."""

    def __init__(self, api: Api, identity: str, leaders: list[str], *, clock: Clock, renew_s: float) -> None:
        self.identity = identity
        self.leaders = leaders  # who leads now, over all candidates
        self.led = 0
        self.end = asyncio.Event()
        self.election = LeaderElection(
            api.client,
            namespace=api.namespace,
            name=NAME,
            identity=identity,
            clock=clock,
            duration_s=DURATION_S,
            renew_s=renew_s,
        )
        self.task = asyncio.create_task(self.election.run(self._lead))

    async def _lead(self) -> None:
        self.leaders.append(self.identity)
        assert self.leaders == [self.identity], "two lead at once"
        self.led += 1
        try:
            await self.end.wait()
        finally:
            self.leaders.remove(self.identity)


@asynccontextmanager
async def candidates(
    api: Api, *names: str, clock: Clock | None = None, renew_s: float = 0.2
) -> AsyncIterator[list[Candidate]]:
    leaders: list[str] = []
    shared = clock or SystemClock()
    found = [Candidate(api, name, leaders, clock=shared, renew_s=renew_s) for name in names]
    try:
        yield found
    finally:
        for each in found:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in found), return_exceptions=True)


async def lease(api: Api) -> Lease:
    return await api.client.get(LEASES, NAME, namespace=api.namespace)


async def held_by(api: Api, holder: str, *, renewed: datetime, duration_s: int = 1) -> None:
    spec: dict[str, Any] = {
        "holderIdentity": holder,
        "leaseDurationSeconds": duration_s,
        "renewTime": rfc3339_micro(renewed),
        "leaseTransitions": 4,
    }
    await api.client.create(LEASES, {"metadata": {"name": NAME}, "spec": spec}, namespace=api.namespace)


async def test_one_leads_and_renews(api: Api) -> None:
    async with candidates(api, "a") as (a,):
        await eventually(lambda: a.election.leading, deadline_s=PATIENT_S)
        first = await lease(api)
        assert (first.spec.holder_identity, first.spec.lease_duration_seconds) == ("a", DURATION_S)

        async def renewed() -> bool:
            now = await lease(api)
            return parse_rfc3339(now.spec.renew_time or "") > parse_rfc3339(first.spec.renew_time or "")

        await eventually(renewed, deadline_s=PATIENT_S)
        assert a.election.leading


async def test_the_next_one_starts_at_once_when_the_leader_ends_well(api: Api) -> None:
    async with candidates(api, "a") as (a,):
        await eventually(lambda: a.led, deadline_s=PATIENT_S)
        async with candidates(api, "b") as (b,):
            a.end.set()
            await a.task
            assert (await lease(api)).spec.holder_identity in ("", None, "b")
            await eventually(lambda: b.led, deadline_s=PATIENT_S)
            taken = await lease(api)
            assert (taken.spec.holder_identity, taken.spec.lease_transitions) == ("b", 1)


async def test_of_many_one_leads_at_a_time_and_each_has_its_turn(api: Api) -> None:
    async with candidates(api, *"abcd") as all_of_them:
        for _ in all_of_them:
            leader: Candidate = await eventually(
                lambda: next((each for each in all_of_them if each.election.leading), None),
                deadline_s=PATIENT_S,
            )
            leader.end.set()
            await leader.task
        assert [each.led for each in all_of_them] == [1, 1, 1, 1]


@pytest.mark.parametrize("offset_s", [-3600, 0, 3600])
async def test_a_dead_leader_is_followed_after_its_time_whatever_its_clock_said(
    api: Api, offset_s: int
) -> None:
    await held_by(api, "dead", renewed=datetime.now(UTC) + timedelta(seconds=offset_s))
    begun = SystemClock().monotonic()
    async with candidates(api, "b") as (b,):
        await eventually(lambda: b.led, deadline_s=PATIENT_S)
        assert SystemClock().monotonic() - begun >= 1, "it did not watch the Lease for its whole duration"
        assert (await lease(api)).spec.lease_transitions == 5


async def test_a_leader_that_renews_is_never_followed(api: Api) -> None:
    clock, renew_s = ManualClock(), DURATION_S / 4

    async def both_sleep() -> None:
        await eventually(lambda: clock.sleepers == 2, deadline_s=PATIENT_S)

    async with candidates(api, "a", clock=clock, renew_s=renew_s) as (a,):
        await eventually(lambda: a.led, deadline_s=PATIENT_S)
        async with candidates(api, "b", clock=clock, renew_s=renew_s) as (b,):
            await both_sleep()
            first = await lease(api)
            # Whoever waits looks twice as often as the leader renews.
            for _ in range(3 * 8):
                clock.advance(renew_s / 2)
                await both_sleep()
            last = await lease(api)
            times = [parse_rfc3339(each.spec.renew_time or "") for each in (first, last)]
            assert times[1] - times[0] == timedelta(seconds=3 * DURATION_S)
            assert (a.led, b.led) == (1, 0)


async def test_who_lost_the_lease_stops(api: Api) -> None:
    async with candidates(api, "a") as (a,):
        await eventually(lambda: a.led, deadline_s=PATIENT_S)
        stolen = {"spec": {"holderIdentity": "thief"}}
        await api.client.patch(LEASES, NAME, stolen, namespace=api.namespace)
        with pytest.raises(LeadershipLostError, match="thief"):
            await a.task
        assert a.leaders == []
        assert not a.election.leading
        assert (await lease(api)).spec.holder_identity == "thief", "a loser must not release what it lost"


async def test_who_finds_the_lease_deleted_stops(api: Api) -> None:
    async with candidates(api, "a") as (a,):
        await eventually(lambda: a.led, deadline_s=PATIENT_S)
        await api.client.delete(LEASES, NAME, namespace=api.namespace)
        with pytest.raises(LeadershipLostError, match="deleted"):
            await a.task


async def test_a_stranger_who_labels_the_lease_does_not_end_a_leader(api: Api) -> None:
    async with candidates(api, "a") as (a,):
        await eventually(lambda: a.led, deadline_s=PATIENT_S)
        for number in range(3):
            change = {"metadata": {"labels": {"n": str(number)}}}
            touched = await api.client.patch(LEASES, NAME, change, namespace=api.namespace)
            version = touched.metadata.resource_version

            async def renewed(version: str = version) -> bool:
                return (await lease(api)).metadata.resource_version != version

            await eventually(renewed, deadline_s=PATIENT_S)
        assert a.election.leading


async def test_the_work_s_own_error_comes_out_and_the_lease_is_free(api: Api) -> None:
    async def fail() -> None:
        raise LookupError("of its own")

    clock = SystemClock()
    election = LeaderElection(api.client, namespace=api.namespace, name=NAME, identity="a", clock=clock)
    with pytest.raises(LookupError):
        await election.run(fail)
    assert not (await lease(api)).spec.holder_identity


async def test_a_heartbeat_makes_its_lease_and_renews_it(api: Api) -> None:
    clock = ManualClock()
    heartbeat = Heartbeat(
        api.client,
        namespace=api.namespace,
        name="heartbeat",
        identity="store-1",
        clock=clock,
        period_s=PATIENT_S,
        duration_s=40,
        labels={"innkeeper.dev/host": "h"},
    )
    beating = asyncio.create_task(heartbeat.run())

    async def beat() -> Lease | None:
        await eventually(lambda: clock.sleepers, deadline_s=PATIENT_S)
        listing = await api.client.list(LEASES, namespace=api.namespace)
        return next(iter(listing.items), None)

    first = await beat()
    assert first is not None
    assert (first.spec.holder_identity, first.spec.lease_duration_seconds) == ("store-1", 40)
    assert first.metadata.labels == {"innkeeper.dev/host": "h"}

    clock.advance(PATIENT_S)
    later = await beat()
    assert later is not None
    assert (later.spec.renew_time or "") > (first.spec.renew_time or "")
    # Somebody deletes it: it is made again.
    await api.client.delete(LEASES, "heartbeat", namespace=api.namespace)
    clock.advance(PATIENT_S)
    again = await beat()
    assert again is not None
    assert again.metadata.uid != first.metadata.uid
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


async def test_of_two_that_give_one_heartbeat_the_second_ends(api: Api) -> None:
    clock = ManualClock()

    async def keep() -> None:
        pass

    def heartbeat(identity: str) -> SoleHeartbeat:
        return SoleHeartbeat(
            api.client,
            namespace=api.namespace,
            name="heartbeat",
            holder=Holder(identity=identity, follows=None, is_gone=False, keep=keep),
            labels={"innkeeper.dev/host": "h"},
            clock=clock,
        )

    first, second = heartbeat("store-1"), heartbeat("store-2")
    beating = asyncio.create_task(first.run(period_s=PATIENT_S, duration_s=40))
    await eventually(first.ours.is_set, deadline_s=PATIENT_S)
    looking = asyncio.create_task(second.run(period_s=PATIENT_S, duration_s=40))
    # Within two periods it has seen the other one renew.
    for _ in range(2 * LOOKS_PER_PERIOD):
        await eventually(lambda: clock.sleepers == 2 or looking.done(), deadline_s=PATIENT_S)
        clock.advance(PATIENT_S / LOOKS_PER_PERIOD)
    with pytest.raises(AnotherHolderError, match="store-1"):
        await asyncio.wait_for(looking, PATIENT_S)
    assert not second.ours.is_set()
    assert not beating.done()
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
