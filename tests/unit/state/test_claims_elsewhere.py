"""Numbers that guests of other address spaces hold: which pools must not give them, and what it costs to know."""

import asyncio
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from innkeeper.domain.addressing.pool import Pool, number_of
from innkeeper.domain.addressing.taken import Taken
from innkeeper.kube.informer import Change
from innkeeper.state.claims import Claims
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.state.subset import Subset
from innkeeper.views.network import IPAddress, IPPool
from innkeeper.workers.sweeper import Sweeper
from tests.kit.clock import ManualClock

OWNER = {"id": "g", "namespace": "default", "name": "g", "interface": "eth0"}
HELD = "10.7.0.5"


def a_pool(space: str, **spec: Any) -> IPPool:
    spec = {"cidr": "10.7.0.0/22", "addressSpace": space, "clusters": ["c"], **spec}
    metadata = {"name": space, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return msgspec.convert({"metadata": metadata, "spec": spec}, IPPool)


def a_claim(address: str, *, space: str = "b", owner: dict[str, str] | None = None) -> IPAddress:
    spec = {"pool": space, "addressSpace": space, "address": address, "owner": owner}
    return msgspec.convert({"metadata": {"name": f"{space}.{address}"}, "spec": spec}, IPAddress)


def held_of(pool: IPPool, *addresses: str) -> tuple[PoolCatalog, Claims]:
    """Return a pool of space `b`, and what is claimed of it."""
    catalog = PoolCatalog()
    claims = Claims(catalog)
    catalog.put("b", pool)
    for address in addresses or (HELD,):
        claims.put(f"b.{address}", a_claim(address, owner=OWNER))
    return catalog, claims


def pool_in(catalog: PoolCatalog, space: str, **spec: Any) -> Pool:
    catalog.put(space, a_pool(space, **spec))
    pool = catalog.held(space)
    assert pool is not None
    return pool


INVALID = [{"gateway": "198.51.100.1"}, {"quarantine": "soon"}, {"cidr": "10.7.0.0/33"}]


@pytest.mark.parametrize("wrong", INVALID, ids=["gateway", "quarantine", "network"])
def test_what_is_held_of_an_invalid_pool_counts_where_its_spec_says(wrong: dict[str, Any]) -> None:
    """One typo takes no number from pools of other clusters and VLANs, and frees none where its guests are."""
    catalog, claims = held_of(a_pool("b", vlan=7, **wrong))
    assert catalog.held("b") is None
    number = number_of(HELD)[1]
    meets = pool_in(catalog, "a", vlan=7)
    assert number in claims.taken(meets)
    assert claims.holding(meets, HELD) is not None
    assert claims.kept_from("b") == {"a"}
    for apart in (pool_in(catalog, "d", clusters=["d"], vlan=7), pool_in(catalog, "e", vlan=8)):
        assert number not in claims.taken(apart)
        assert claims.holding(apart, HELD) is None
    assert claims.kept_from("b") == {"a"}
    catalog.put("b", a_pool("b", clusters=["d"], vlan=7, **wrong))
    assert number not in claims.taken(meets), "its spec says another cluster now, wrong as it is still"
    assert claims.kept_from("b") == {"d"}
    catalog.put("b", None)
    assert number in claims.taken(meets), "it is gone: nobody knows where its guest is"


def test_what_rests_of_a_deleted_pool_keeps_its_number_from_its_own_space_alone() -> None:
    catalog, claims = held_of(a_pool("b"))
    number, apart = number_of(HELD)[1], pool_in(catalog, "d", clusters=["d"])
    catalog.put("b", None)
    assert number in claims.taken(apart), "its guest may be anywhere"
    claims.put(f"b.{HELD}", a_claim(HELD))
    assert number not in claims.taken(apart)
    assert claims.holding(apart, HELD) is None
    made_again = pool_in(catalog, "b")
    assert number in claims.taken(made_again)


def test_a_pool_that_meets_no_other_is_looked_at_as_if_there_were_none() -> None:
    catalog, claims = held_of(a_pool("b"))
    apart = pool_in(catalog, "d", clusters=["d"])
    assert type(claims.taken(apart)) is Taken
    assert type(claims.taken(pool_in(catalog, "a"))) is not Taken


def test_numbers_that_are_held_elsewhere_are_stepped_over_block_by_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also those that two pools of other spaces hold between them; of each number it would cost ten times as much."""
    addresses = [f"10.7.{block}.{last}" for block in range(3) for last in range(256)]
    catalog, claims = held_of(a_pool("b"), *addresses[:600])
    catalog.put("d", a_pool("d"))
    for address in addresses[600:]:
        claims.put(f"d.{address}", a_claim(address, space="d", owner=OWNER))
    taken, pool = claims.taken(pool_in(catalog, "a")), catalog.held("a")
    assert pool is not None
    calls: list[object] = []
    block, contains = Taken.block, Taken.__contains__

    def counted_block(self: Taken, index: int) -> Any:
        calls.append(index)
        return block(self, index)

    def counted_contains(self: Taken, number: int) -> bool:
        calls.append(number)
        return contains(self, number)

    monkeypatch.setattr(Taken, "block", counted_block)
    monkeypatch.setattr(Taken, "__contains__", counted_contains)
    assert next(taken.free(pool.intervals)) == number_of("10.7.3.0")[1]
    assert len(calls) <= 4 * 3, "four blocks, in three sets"


def test_an_address_that_comes_free_is_counted_for_nobody_where_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subset = Subset()
    subset.pool_catalog.put("b", a_pool("b"))
    claim = a_claim(HELD)
    subset.apply(Change(("", f"b.{HELD}"), None, claim))
    taken = Mock()
    monkeypatch.setattr(Claims, "taken", taken)
    subset.apply(Change(("", f"b.{HELD}"), claim, None))
    taken.assert_not_called()


async def test_other_work_goes_on_while_many_claims_are_looked_at() -> None:
    subset, turns = Subset(), 0
    for number in range(1501):
        address = f"10.7.{number // 256}.{number % 256}"
        subset.claims.put(f"b.{address}", a_claim(address))
    no_network: Any = None
    sweeper = Sweeper(subset, network=no_network, clock=ManualClock(), fresh=lambda: True)
    sweep, loop = asyncio.create_task(sweeper.sweep()), asyncio.get_running_loop()

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not sweep.done():
            loop.call_soon(turn)

    turn()
    await sweep
    assert turns >= 4
