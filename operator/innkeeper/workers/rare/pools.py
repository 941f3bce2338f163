"""IPPools: whether they can be served, and how full they are.

Validity comes from the pure reading of the specs; counters from the watched IPAddress objects, kept as running sums so
that a pool of any size costs the same. One writer for the whole status; counters wait and are coalesced. A deleted pool
stays while guests hold addresses of it: it says on which clusters nobody else may have them. What rests does not keep it.
Whoever may read pools may not read whose guests those are, so it never names them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from innkeeper.clock import Clock
from innkeeper.domain.addressing.pool import Pool
from innkeeper.domain.reasons import ConditionType, PoolReason
from innkeeper.kube import conditions
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Key
from innkeeper.kube.resources import IP_POOLS
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.state.pool_catalog import Problem
from innkeeper.views.meta import Condition
from innkeeper.views.network import IPAddress, IPPool
from innkeeper.workers.rare.pool_counts import Count, PoolCounts

MOST = 2**53 - 1  # what every reader of JSON keeps exactly; an IPv6 pool has more
IN_USE_S = 10.0


class Pools:
    """Keeps the statuses of IPPools."""

    def __init__(
        self,
        client: Client,
        *,
        pools: Mapping[Key, IPPool],
        clock: Clock,
        delay_s: float,
        held: Callable[[str], int | None],
    ) -> None:
        """`held` tells how many addresses of a pool are claimed, or None while nobody can tell for certain."""
        self._pools = pools
        self._held = held
        self._clock = clock
        self._counts = PoolCounts()
        self._writer = StatusWriter(
            client, IP_POOLS, clock=clock, render=self._render, read=pools.get, delay_s=delay_s
        )

    async def run(self) -> None:
        """Write statuses for ever."""
        await self._writer.run()

    async def check(self, name: str) -> None:
        """Write the status of one IPPool now, if it differs.

        Raises:
            ApiError: the API server refused, or is away.
        """
        await self._writer.write(("", name))

    async def let_go(self, name: str) -> float | None:
        """Return the seconds after which to look again whether a deleted pool may go; None when it may.

        Raises:
            ApiError: the API server refused, or is away.
        """
        pool = self._pools.get(("", name))
        if pool is None or pool.metadata.deletion_timestamp is None:
            # The watch is behind, or past it: until it tells of the deletion, addresses may still be claimed.
            return IN_USE_S / 10
        if self._held(name) == 0:
            return None
        await self._writer.write(("", name))
        return IN_USE_S

    def pool_changed(self, change: Change[IPPool]) -> None:
        """Look at an IPPool that changed, and at those that may overlap with it."""
        name = change.key[1]
        if self._counts.pool_changed(name, change.new):
            for each in self._counts.catalog:
                self._writer.touch(("", each), urgent=each == name)
        elif change.new is not None:
            self._writer.touch(change.key, urgent=True)

    def address_changed(self, change: Change[IPAddress]) -> None:
        """Count an address that was claimed, released or deleted."""
        for name in self._counts.address_changed(change.old, change.new):
            self._writer.touch(("", name))

    def _render(self, key: Key) -> dict[str, Any] | None:
        pool, name = self._pools[key], key[1]
        goes = pool.metadata.deletion_timestamp is not None
        return status_of(
            pool,
            self._counts.catalog.look(name),
            self._counts.of(name),
            clock=self._clock,
            held=self._held(name) if goes else None,
        )


def status_of(
    view: IPPool,
    looked: Pool | Problem | None,
    count: Count,
    *,
    clock: Clock,
    held: int | None = None,
) -> dict[str, Any] | None:
    """Return the status that an IPPool should have, or None where it has it; `held` is what its deletion waits for."""
    total = looked.total if isinstance(looked, Pool) else 0
    free = max(0, total - count.taken)
    status = view.status
    told = [
        _ready(view, looked, count),
        _exhausted(view, free=free),
        *_stalled(view, looked),
        *_in_use(view, held),
    ]
    new = conditions.merged(status.conditions, told, now=clock.now())
    counters = {
        "observedGeneration": view.metadata.generation,
        "total": min(total, MOST),
        "used": len(count.used),
        "free": min(free, MOST),
        "quarantined": len(count.quarantined),
        "outside": count.outside,
    }
    known = {
        "observedGeneration": status.observed_generation,
        "total": status.total,
        "used": status.used,
        "free": status.free,
        "quarantined": status.quarantined,
        "outside": status.outside,
    }
    if counters == known and new == status.conditions:
        return None
    return {**counters, "conditions": [conditions.document(each) for each in new]}


def _ready(view: IPPool, looked: Pool | Problem | None, count: Count) -> Condition:
    if isinstance(looked, Problem):
        return _condition(
            view, ConditionType.READY, status=False, reason=looked.reason, message=looked.message
        )
    if count.outside:
        message = (
            f"{count.outside} addresses that guests hold are none that the pool gives: those guests keep them"
        )
        return _condition(
            view, ConditionType.READY, status=True, reason=PoolReason.ADDRESSES_OUTSIDE, message=message
        )
    return _condition(view, ConditionType.READY, status=True, reason=PoolReason.READY, message="")


def _stalled(view: IPPool, looked: Pool | Problem | None) -> list[Condition]:
    """A pool that cannot serve stays so until somebody changes it, or the one that it overlaps."""
    if not isinstance(looked, Problem) or looked.reason == PoolReason.DELETED:
        return []
    return [
        _condition(view, ConditionType.STALLED, status=True, reason=looked.reason, message=looked.message)
    ]


def _in_use(view: IPPool, held: int | None) -> list[Condition]:
    """Say what the deletion of a pool waits for."""
    if not held:
        return []
    message = (
        f"guests hold {held} addresses of it: delete them, or let the deletion wait; "
        "`kubectl get ipaddresses.innkeeper.dev` tells an admin which guests"
    )
    return [
        _condition(
            view, ConditionType.IN_USE, status=True, reason=PoolReason.ADDRESSES_REMAIN, message=message
        )
    ]


def _exhausted(view: IPPool, *, free: int) -> Condition:
    if free:
        return _condition(
            view, ConditionType.EXHAUSTED, status=False, reason=PoolReason.ADDRESSES_FREE, message=""
        )
    message = "no address is free: add ranges, or delete guests that are not needed"
    return _condition(
        view, ConditionType.EXHAUSTED, status=True, reason=PoolReason.NO_ADDRESS_FREE, message=message
    )


def _condition(
    view: IPPool, kind: ConditionType, *, status: bool, reason: PoolReason, message: str
) -> Condition:
    return Condition(
        type=kind,
        status="True" if status else "False",
        reason=reason,
        message=message,
        observed_generation=view.metadata.generation,
    )
