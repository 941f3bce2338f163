"""IPPools and Clusters: their Ready and their counters."""

from typing import Any

import msgspec
import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change
from innkeeper.kube.resources import IP_POOLS
from innkeeper.views.catalog import Cluster
from innkeeper.views.host import Host
from innkeeper.views.network import IPAddress, IPPool
from innkeeper.workers.rare.clusters import status_of as cluster_status
from innkeeper.workers.rare.pools import Claims, Pools
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


def an_address(number: int, *, owned: bool) -> IPAddress:
    spec = {"pool": "p", "addressSpace": "default", "address": f"192.0.2.{number}"}
    meta = {"name": f"default.192.0.2.{number}"}
    return msgspec.convert({"metadata": meta, "spec": {**spec, "owner": OWNER if owned else None}}, IPAddress)


@pytest.mark.parametrize(
    ("pool", "claims", "reason", "free"),
    [
        (a_pool(), Claims(used=2, quarantined=1), "Ready", 3),
        (a_pool(), Claims(used=6), "Exhausted", 0),
        (a_pool(), Claims(used=3, quarantined=3), "Exhausted", 0),
        (a_pool(), Claims(used=9), "Exhausted", 0),
        (a_pool(gateway="198.51.100.1"), Claims(), "Invalid", 0),
        (a_pool(quarantine="soon"), Claims(), "Invalid", 0),
    ],
)
def test_a_pool_says_whether_addresses_can_be_had(
    pool: IPPool, claims: Claims, reason: str, free: int
) -> None:
    status = pool_status(pool, claims, clock=ManualClock())
    assert status is not None
    (condition,) = status["conditions"]
    assert (condition["reason"], condition["observedGeneration"], status["free"]) == (reason, 2, free)
    assert (condition["status"] == "True") is (reason == "Ready")
    assert pool_status(a_pool_with(pool, status), claims, clock=ManualClock()) is None, "written once"


def a_pool_with(pool: IPPool, status: dict[str, Any]) -> IPPool:
    return msgspec.convert({**msgspec.to_builtins(pool), "status": status}, IPPool)


async def test_claims_are_counted_as_they_come_and_go() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        pools = Pools(client, pools={}, clock=ManualClock(), delay_s=1)
        mine, resting = an_address(1, owned=True), an_address(1, owned=False)
        pools.address_changed(Change(("", "1"), None, mine))
        pools.address_changed(Change(("", "2"), None, an_address(2, owned=True)))
        assert pools.claims("p") == Claims(used=2)
        pools.address_changed(Change(("", "1"), mine, resting))
        assert pools.claims("p") == Claims(used=1, quarantined=1)
        pools.address_changed(Change(("", "1"), resting, None))
        assert pools.claims("p") == Claims(used=1)
        assert pools.claims("another") == Claims()


async def test_a_check_writes_the_status_at_once() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        api.create(IP_POOLS, {"metadata": {"name": "p"}, "spec": {"cidr": "192.0.2.0/29", "clusters": ["c"]}})
        known = {("", "p"): await client.get(IP_POOLS, "p")}
        await Pools(client, pools=known, clock=ManualClock(), delay_s=60).check("p")
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
