"""IPPools: whether they can be served, and how full they are.

Validity comes from the pure reading of the spec; counters from the watched IPAddress objects, kept as running sums so
that a pool of any size costs the same. One writer for the whole status; counters wait and are coalesced.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from innkeeper.clock import Clock
from innkeeper.domain.addressing.pool import PoolInvalidError, understand
from innkeeper.domain.reasons import ConditionType, PoolReason
from innkeeper.kube import conditions
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Key
from innkeeper.kube.resources import IP_POOLS
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.views.meta import Condition
from innkeeper.views.network import IPAddress, IPPool


@dataclass(frozen=True)
class Claims:
    """Addresses of one pool that are not free."""

    used: int = 0
    quarantined: int = 0


class Pools:
    """Keeps the statuses of IPPools."""

    def __init__(self, client: Client, *, pools: Mapping[Key, IPPool], clock: Clock, delay_s: float) -> None:
        self._pools = pools
        self._clock = clock
        self._used: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
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

    def pool_changed(self, change: Change[IPPool]) -> None:
        """Look at an IPPool that changed."""
        self._writer.touch(change.key, urgent=True)

    def address_changed(self, change: Change[IPAddress]) -> None:
        """Count an address that was claimed, released or deleted."""
        for address, step in ((change.old, -1), (change.new, 1)):
            if address is not None:
                kind = self._used if address.spec.owner is not None else self._quarantined
                kind[address.spec.pool] += step
                self._writer.touch(("", address.spec.pool))

    def claims(self, pool: str) -> Claims:
        """Return how many addresses of a pool are not free."""
        return Claims(self._used[pool], self._quarantined[pool])

    def _render(self, key: Key) -> dict[str, Any] | None:
        return status_of(self._pools[key], self.claims(key[1]), clock=self._clock)


def status_of(pool: IPPool, claims: Claims, *, clock: Clock) -> dict[str, Any] | None:
    """Return the status that an IPPool should have, or None where it has it."""
    total, problem = _total(pool)
    free = max(0, total - claims.used - claims.quarantined)
    if problem is not None:
        condition = _ready(pool, PoolReason.INVALID, problem)
    elif free == 0:
        condition = _ready(
            pool, PoolReason.EXHAUSTED, "no address is free: add ranges, or delete guests that are not needed"
        )
    else:
        condition = _ready(pool, PoolReason.READY, "addresses can be had")
    status = pool.status
    new = conditions.merged(status.conditions, [condition], now=clock.now())
    counters = (pool.metadata.generation, total, claims.used, free, claims.quarantined)
    known = (status.observed_generation, status.total, status.used, status.free, status.quarantined)
    if counters == known and new == status.conditions:
        return None
    names = ("observedGeneration", "total", "used", "free", "quarantined")
    return {
        **dict(zip(names, counters, strict=True)),
        "conditions": [conditions.document(each) for each in new],
    }


def _total(pool: IPPool) -> tuple[int, str | None]:
    try:
        return understand(pool.spec).total, None
    except PoolInvalidError as error:
        return 0, str(error)


def _ready(pool: IPPool, reason: PoolReason, message: str) -> Condition:
    return Condition(
        type=ConditionType.READY,
        status="True" if reason is PoolReason.READY else "False",
        reason=reason,
        message=message,
        observed_generation=pool.metadata.generation,
    )
