"""IPPools and Clusters: their Ready and their counters."""

import ipaddress
from typing import Any

import msgspec
import pytest

from innkeeper.domain.addressing.overlaps import overlaps
from innkeeper.domain.addressing.pool import number_of
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Key
from innkeeper.kube.resources import IP_POOLS
from innkeeper.state import pool_catalog
from innkeeper.state.claims import Claims
from innkeeper.state.pool_catalog import PoolCatalog, Problem
from innkeeper.views.catalog import Cluster
from innkeeper.views.host import Host
from innkeeper.views.meta import Meta
from innkeeper.views.network import IPAddress, IPPool
from innkeeper.workers.rare.clusters import status_of as cluster_status
from innkeeper.workers.rare.pool_counts import Count, Counted, PoolCounts
from innkeeper.workers.rare.pools import Pools
from innkeeper.workers.rare.pools import status_of as pool_status
from tests.kit.clock import ManualClock
from tests.kit.fake_api import FakeApi

OWNER = {"id": "g", "namespace": "default", "name": "g", "interface": "eth0"}


def a_pool(status: dict[str, Any] | None = None, **spec: Any) -> IPPool:
    return msgspec.convert(
        {
            "metadata": {"name": "p", "generation": 2, "resourceVersion": "1", "uid": "u"},
            "spec": {"cidr": "192.0.2.0/29", "clusters": ["c"], **spec},
            "status": status or {},
        },
        IPPool,
    )


def an_address(number: int, *, owned: bool, space: str = "default") -> IPAddress:
    spec = {"pool": "p", "addressSpace": space, "address": f"192.0.2.{number}"}
    meta = {"name": f"{space}.192.0.2.{number}"}
    return msgspec.convert({"metadata": meta, "spec": {**spec, "owner": OWNER if owned else None}}, IPAddress)


def counted(pool: IPPool, *, held: tuple[str, ...] = (), resting: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the status that a pool gets beside these addresses, after checking that it is written once."""
    catalog, count = PoolCatalog(), Count(places(held), places(resting))
    catalog.put("p", pool)
    count.recount(catalog.held("p"))
    status = pool_status(pool, catalog.look("p"), count, clock=ManualClock())
    assert status is not None
    same = msgspec.convert({**msgspec.to_builtins(pool), "status": status}, IPPool)
    assert pool_status(same, catalog.look("p"), count, clock=ManualClock()) is None, "written once"
    return status


def places(addresses: tuple[str, ...], space: str = "default") -> set[Counted]:
    return {Counted(space, number_of(each)) for each in addresses}


def last(*numbers: int) -> tuple[str, ...]:
    return tuple(f"192.0.2.{number}" for number in numbers)


A_RANGE = [{"start": "192.0.2.2", "end": "192.0.2.3"}]


@pytest.mark.parametrize(
    ("pool", "held", "resting", "ready", "exhausted", "free", "outside"),
    [
        (a_pool(), last(1, 2), last(3), "Ready", False, 3, 0),
        (a_pool(), last(1, 2, 3, 4, 5, 6), (), "Ready", True, 0, 0),
        (a_pool(), last(1, 2, 3), last(4, 5, 6), "Ready", True, 0, 0),
        # Shrunk below an address that is held: its guest keeps it, and the others can be had.
        (a_pool(ranges=A_RANGE), last(2, 6), last(5), "AddressesOutside", False, 1, 1),
        # A reservation is nobody else's, and its holder takes nothing from the others.
        (
            a_pool(
                ranges=A_RANGE, reservations=[{"address": "192.0.2.5", "owner": "default/g", "reason": "r"}]
            ),
            last(5),
            (),
            "Ready",
            False,
            2,
            0,
        ),
        (a_pool(gateway="198.51.100.1"), (), (), "Invalid", True, 0, 0),
        (a_pool(quarantine="soon"), (), (), "Invalid", True, 0, 0),
    ],
)
def test_a_pool_says_whether_addresses_can_be_had(
    pool: IPPool,
    held: tuple[str, ...],
    resting: tuple[str, ...],
    ready: str,
    exhausted: bool,  # noqa: FBT001 - a column
    free: int,
    outside: int,
) -> None:
    status = counted(pool, held=held, resting=resting)
    told = {each["type"]: each for each in status["conditions"]}
    assert (status["free"], status["outside"], status["used"]) == (free, outside, len(held))
    assert told["Ready"]["reason"] == ready
    assert (told["Ready"]["status"] == "True") is (ready != "Invalid")
    assert (told["Exhausted"]["status"] == "True") is exhausted
    assert {each["observedGeneration"] for each in told.values()} == {2}


def test_an_ipv6_pool_counts_no_further_than_json_does() -> None:
    status = counted(a_pool(cidr="2001:db8::/64"))
    assert status["total"] == status["free"] == 2**53 - 1


def aged(name: str, *, day: int, labels: dict[str, str] | None = None) -> IPPool:
    meta = Meta(name=name, creation_timestamp=f"2026-01-0{day}T00:00:00Z", labels=labels or {})
    return msgspec.structs.replace(a_pool(), metadata=meta)


def test_of_two_pools_with_the_same_addresses_the_older_serves() -> None:
    catalog = PoolCatalog()
    old, new = aged("old", day=1), aged("new", day=2)
    catalog.put("new", new)
    assert catalog.pool("new") is not None
    catalog.put("old", old)
    problem = catalog.look("new")
    assert isinstance(problem, Problem)
    assert problem.reason == "Overlaps"
    assert "192.0.2.1 to 192.0.2.6 are in the older IPPool 'old'" in problem.message
    assert catalog.pool("new") is None
    assert catalog.held("new") is not None, "who has an address keeps it"
    assert catalog.pool("old") is not None
    catalog.put("old", None)
    assert catalog.pool("new") is not None


async def test_claims_are_counted_as_they_come_and_go() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        known: dict[Key, IPPool] = {}
        pools = Pools(client, pools=known, clock=ManualClock(), delay_s=1, held=lambda _: 0)
        api.create(IP_POOLS, {"metadata": {"name": "p"}, "spec": {"cidr": "192.0.2.0/29", "clusters": ["c"]}})
        known[("", "p")] = await client.get(IP_POOLS, "p")

        async def counters() -> tuple[int, int, int]:
            await pools.check("p")
            known[("", "p")] = await client.get(IP_POOLS, "p")
            status = known[("", "p")].status
            return status.used, status.quarantined, status.free

        pools.pool_changed(Change(("", "p"), None, known[("", "p")]))
        mine, resting = an_address(1, owned=True), an_address(1, owned=False)
        pools.address_changed(Change(("", "1"), None, mine))
        pools.address_changed(Change(("", "2"), None, an_address(2, owned=True)))
        assert await counters() == (2, 0, 4)
        pools.address_changed(Change(("", "1"), mine, resting))
        assert await counters() == (1, 1, 4)
        pools.address_changed(Change(("", "1"), resting, None))
        assert await counters() == (1, 0, 5)


def named(name: str, **spec: Any) -> IPPool:
    changed = {"metadata": {"name": name}, "spec": msgspec.to_builtins(a_pool(**spec).spec)}
    return msgspec.convert(changed, IPPool)


def test_a_pool_that_took_the_place_of_another_counts_what_guests_hold_of_that_one() -> None:
    counts = PoolCounts()
    counts.pool_changed("p", a_pool())
    for number, owned in ((1, True), (2, False), (6, True)):
        counts.address_changed(None, an_address(number, owned=owned))
    counts.pool_changed("p", None)
    assert counts.of("p").used == places(last(1, 6))
    counts.pool_changed("new", named("new", ranges=[{"start": "192.0.2.1", "end": "192.0.2.5"}]))
    new = counts.of("new")
    assert (new.used, new.quarantined, new.taken, new.outside) == (places(last(1)), places(last(2)), 2, 0)
    assert counts.of("p").used == places(last(6)), "no pool gives it"
    assert counts.address_changed(an_address(2, owned=False), None) == {"new"}
    assert counts.address_changed(an_address(1, owned=True), an_address(1, owned=False)) == {"new"}
    assert (new.used, new.quarantined, new.taken) == (set(), places(last(1)), 1)
    counts.pool_changed("elsewhere", named("elsewhere", addressSpace="other"))
    assert counts.of("elsewhere").taken == 0
    counts.pool_changed("p", a_pool())
    counts.pool_changed("new", None)
    old = counts.of("p")
    assert (old.used, old.quarantined, old.taken) == (places(last(6)), places(last(1)), 2)


def test_an_address_of_another_space_takes_none_of_a_pool_made_anew() -> None:
    counts = PoolCounts()
    counts.pool_changed("p", a_pool())
    counts.address_changed(None, an_address(2, owned=True))
    counts.pool_changed("p", None)
    anew = a_pool(addressSpace="other")
    counts.pool_changed("p", anew)
    count = counts.of("p")
    assert (count.used, count.taken, count.outside) == (places(last(2)), 0, 1)
    status = pool_status(anew, counts.catalog.look("p"), count, clock=ManualClock())
    assert status is not None
    assert (status["total"], status["free"], status["used"]) == (6, 6, 1)
    counts.address_changed(None, an_address(2, owned=True, space="other"))
    assert (len(count.used), count.taken, count.outside) == (2, 1, 1)
    counts.address_changed(an_address(2, owned=True), None)
    assert (count.used, count.taken, count.outside) == (places(last(2), "other"), 1, 0)


def test_a_changed_pool_reads_no_address_of_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = PoolCounts()
    counts.pool_changed("p", a_pool())
    counts.pool_changed("around", named("around", cidr="192.0.0.0/16"))
    for number in range(1, 7):
        counts.address_changed(None, an_address(number, owned=True))
    read: list[object] = []
    parse = ipaddress.ip_address
    monkeypatch.setattr(ipaddress, "ip_address", lambda text: read.append(text) or parse(text))
    assert counts.pool_changed("p", a_pool(exclude=["192.0.2.1"]))
    assert read == []
    assert (counts.of("p").used, counts.of("around").used) == (places(last(2, 3, 4, 5, 6)), places(last(1)))
    looked: list[object] = []
    monkeypatch.setattr(counts, "_inside", looked.append)
    monkeypatch.setattr(Count, "recount", looked.append)
    labelled = msgspec.structs.replace(
        named("p", exclude=["192.0.2.1"]), metadata=Meta(name="p", labels={"a": "b"})
    )
    assert counts.pool_changed("p", labelled), "guests may ask for these labels"
    assert looked == [], "it gives what it gave"


def test_what_overlaps_is_found_anew_only_where_a_pool_gives_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[object] = []
    monkeypatch.setattr(pool_catalog, "overlaps", lambda pools: found.append(pools) or overlaps(pools))
    catalog = PoolCatalog()
    catalog.put("p", aged("p", day=1))
    catalog.put("q", aged("q", day=2))
    assert [catalog.pool("p") is None, catalog.pool("q") is None] == [False, True]
    assert catalog.put("p", aged("p", day=1, labels={"a": "b"}))
    assert not catalog.put("p", aged("p", day=1, labels={"a": "b"}))
    assert [catalog.pool("p") is None, catalog.pool("q") is None] == [False, True]
    assert len(found) == 1
    assert catalog.put("p", aged("p", day=3, labels={"a": "b"})), (
        "it was made anew, unseen: now it is the younger one"
    )
    assert [catalog.pool("p") is None, catalog.pool("q") is None] == [True, False]


async def test_a_check_writes_the_status_at_once() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        api.create(IP_POOLS, {"metadata": {"name": "p"}, "spec": {"cidr": "192.0.2.0/29", "clusters": ["c"]}})
        known = {("", "p"): await client.get(IP_POOLS, "p")}
        pools = Pools(client, pools=known, clock=ManualClock(), delay_s=60, held=lambda _: 0)
        pools.pool_changed(Change(("", "p"), None, known[("", "p")]))
        await pools.check("p")
        found = api.get(IP_POOLS, "p")
        assert found is not None
        assert (found["status"]["total"], found["status"]["free"]) == (6, 6)


def a_host(*, ready: bool, guests: int) -> Host:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return msgspec.convert(
        {
            "metadata": {"name": "h"},
            "spec": {"cluster": "c"},
            "status": {"guests": guests, "conditions": [condition]},
        },
        Host,
    )


@pytest.mark.parametrize(
    ("hosts", "reason", "counters"),
    [
        ([], "NoHostReady", (0, 0)),
        ([a_host(ready=False, guests=3)], "NoHostReady", (1, 3)),
        ([a_host(ready=False, guests=3), a_host(ready=True, guests=4)], "Ready", (2, 7)),
    ],
)
def test_a_cluster_is_ready_when_one_of_its_hosts_is(
    hosts: list[Host], reason: str, counters: tuple[int, int]
) -> None:
    cluster = msgspec.convert(
        {"metadata": {"name": "c", "generation": 1}, "spec": {"network": {"bridge": "br0"}}}, Cluster
    )
    status = cluster_status(cluster, hosts, clock=ManualClock())
    assert status is not None
    assert status["conditions"][0]["reason"] == reason
    assert (status["hosts"], status["guests"]) == counters
    same = msgspec.convert({**msgspec.to_builtins(cluster), "status": status}, Cluster)
    assert cluster_status(same, hosts, clock=ManualClock()) is None


async def test_a_deleted_pool_waits_for_guests_that_hold_addresses_and_says_how_many() -> None:
    """With it would go where nobody else may have them. It names no guests, since tenants may read it."""
    async with FakeApi() as api, Client(api.credentials()) as client:
        metadata = {"name": "p", "finalizers": ["innkeeper.dev/kopf"]}
        api.create(IP_POOLS, {"metadata": metadata, "spec": {"cidr": "192.0.2.0/29", "clusters": ["c"]}})
        known: dict[Key, IPPool] = {("", "p"): await client.get(IP_POOLS, "p")}
        claims, certain = Claims(PoolCatalog()), True
        pools = Pools(
            client,
            pools=known,
            clock=ManualClock(),
            delay_s=60,
            held=lambda name: claims.held_of_pool(name) if certain else None,
        )

        async def let_go() -> tuple[float | None, dict[str, Any]]:
            pause = await pools.let_go("p")
            known[("", "p")] = await client.get(IP_POOLS, "p")
            pools.pool_changed(Change(("", "p"), None, known[("", "p")]))
            found = api.get(IP_POOLS, "p")
            assert found is not None
            return pause, {each["type"]: each for each in found.get("status", {}).get("conditions", ())}

        assert (await let_go())[0] is not None, "the watch has not told of the deletion"
        api.delete(IP_POOLS, "p")
        known[("", "p")] = await client.get(IP_POOLS, "p")
        pools.pool_changed(Change(("", "p"), None, known[("", "p")]))
        claims.put("1", an_address(1, owned=True))
        claims.put("2", an_address(2, owned=False))
        pause, told = await let_go()
        assert pause is not None
        assert (told["Ready"]["status"], told["Ready"]["reason"]) == ("False", "Deleted")
        assert told["InUse"]["reason"] == "AddressesRemain"
        assert "guests hold 1 addresses of it" in told["InUse"]["message"]
        owner = claims.by_name["1"].spec.owner
        assert owner is not None
        assert f"{owner.namespace}/{owner.name}" not in told["InUse"]["message"]
        claims.put("1", None)
        certain = False
        assert (await let_go())[0] is not None, "the view is old"
        certain = True
        claims.begin("p", "default")
        assert (await let_go())[0] is not None, "one is being claimed"
        claims.end("p", "default")
        assert (await let_go())[0] is None, "what rests keeps no pool"
