"""Finds address claims that nobody stands behind, and ends quarantines.

Slow on purpose: a claim is released only after several sightings in a row, each on a complete and fresh view, since
between claim and binding every claim looks like this for a moment.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import structlog

from innkeeper.clock import Clock, parse_rfc3339
from innkeeper.domain.durations import seconds
from innkeeper.domain.names import ADDRESS_FINALIZER, HELD_BY_HOST_ANNOTATION
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import IP_ADDRESSES
from innkeeper.state.subset import Subset
from innkeeper.views.network import IPAddress
from innkeeper.workers.network import NetworkWorker

log = structlog.get_logger()

SIGHTINGS = 3
PERIOD_S = 20.0
DEFAULT_QUARANTINE_S = 300.0


class Sweeper:
    """Looks at every address in each period. `fresh` tells whether the view is complete and not old."""

    def __init__(
        self,
        client: Client,
        subset: Subset,
        *,
        network: NetworkWorker,
        clock: Clock,
        fresh: Callable[[], bool],
        released: Callable[[], None] = lambda: None,
        period_s: float = PERIOD_S,
    ) -> None:
        self._client = client
        self._subset = subset
        self._network = network
        self._clock = clock
        self._fresh = fresh
        self._released = released
        self._period_s = period_s
        self._sightings: Counter[str] = Counter()

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await self._clock.sleep(self._period_s)
            await self.sweep()

    async def sweep(self) -> None:
        """Look once at every address."""
        if not self._fresh():
            self._sightings.clear()
            return
        for name in self._sightings.keys() - self._subset.addresses.keys():
            del self._sightings[name]
        for address in list(self._subset.addresses.values()):
            try:
                await self._look(address)
            except InnkeeperError as error:
                log.info("sweep_put_off", address=address.metadata.name, reason=error.reason)

    async def _look(self, address: IPAddress) -> None:
        name = address.metadata.name
        if address.spec.owner is None:
            await self._end_quarantine(address)
        elif self._is_stood_behind(address):
            self._sightings.pop(name, None)
        else:
            self._sightings[name] += 1
            if self._sightings[name] >= SIGHTINGS:
                del self._sightings[name]
                log.warning("address_leak_released", address=name, guest=address.spec.owner.id)
                self._released()
                await self._network.release(address)

    def _is_stood_behind(self, address: IPAddress) -> bool:
        """A guest that is not bound yet may be about to use it; a bound one names it or does not."""
        owner = address.spec.owner
        if owner is None:
            return False
        key = self._subset.guest_keys.get(owner.id)
        guest = self._subset.guests.get(key) if key else None
        if guest is None:
            # A host may still hold this guest, whose object is gone; a silent one even without an order there.
            holder = address.metadata.annotations.get(HELD_BY_HOST_ANNOTATION)
            held = holder is not None and not self._subset.host_is_lost(holder)
            return held or bool(self._subset.assignments_of(owner.id))
        if guest.status.host is None:
            return True
        return any(each.address == address.spec.address for each in guest.status.addresses)

    async def _end_quarantine(self, address: IPAddress) -> None:
        if address.spec.released_at is None:
            return
        over_at = parse_rfc3339(address.spec.released_at) + timedelta(seconds=self._quarantine_s(address))
        if self._clock.now() < over_at:
            return
        metadata = address.metadata
        try:
            if metadata.deletion_timestamp is None:
                await self._client.delete(
                    IP_ADDRESSES, metadata.name, uid=metadata.uid, resource_version=metadata.resource_version
                )
            finalizers = [each for each in metadata.finalizers if each != ADDRESS_FINALIZER]
            await self._client.patch(
                IP_ADDRESSES, metadata.name, {"metadata": {"finalizers": finalizers}}, uid=metadata.uid
            )
        except NotFoundError:
            return
        log.info("address_free_again", address=metadata.name)

    def _quarantine_s(self, address: IPAddress) -> float:
        pool = self._subset.pools.get(address.spec.pool)
        try:
            return seconds(pool.spec.quarantine) if pool else DEFAULT_QUARANTINE_S
        except ValueError:
            return DEFAULT_QUARANTINE_S
