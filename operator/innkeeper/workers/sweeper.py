"""Finds address claims that nobody stands behind and bound guests without a claim, and ends quarantines.

Slow on purpose: something is done only after several sightings in a row, each on a complete and fresh view, since between
claim and binding every claim looks like this for a moment.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from innkeeper.clock import Clock, parse_rfc3339
from innkeeper.domain.addressing.claim import use_of
from innkeeper.domain.addressing.pool import number_of
from innkeeper.domain.addressing.search import has_free
from innkeeper.domain.lifecycle.destroyed import destroyed_since
from innkeeper.domain.names import HELD_BY_HOST_ANNOTATION, address_name
from innkeeper.errors import InnkeeperError
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest, GuestAddress
from innkeeper.views.network import AddressOwner, IPAddress
from innkeeper.workers.network import NetworkWorker

log = structlog.get_logger()

SIGHTINGS = 3
PERIOD_S = 20.0
DEFAULT_QUARANTINE_S = 300.0
AHEAD_S = 60.0  # that clocks of operators may differ
_SLICE = 500
PRESSED_SHARE = 0.1  # of the quarantine, while the pool has no other address


class Finding(StrEnum):
    """What a sweep sets right, and objects that it can make nothing of."""

    CLAIM_WITHOUT_GUEST = "ClaimWithoutGuest"
    GUEST_WITHOUT_CLAIM = "GuestWithoutClaim"
    NOT_UNDERSTOOD = "NotUnderstood"


class Sweeper:
    """Looks at every address in each period.

    `fresh` tells whether the view is complete and not old, `is_held` whether some host was heard to hold a guest, and
    `is_denied` whether a host that was asked after a moment holds no such guest.
    """

    def __init__(
        self,
        subset: Subset,
        *,
        network: NetworkWorker,
        clock: Clock,
        fresh: Callable[[], bool],
        is_held: Callable[[str], bool] = lambda guest_id: False,  # noqa: ARG005 - a default that does nothing
        is_denied: Callable[[str, str, datetime], bool] = lambda guest_id, host, since: False,  # noqa: ARG005 - a default that does nothing
        found: Callable[[Finding], None] = lambda finding: None,  # noqa: ARG005 - a default that does nothing
        period_s: float = PERIOD_S,
    ) -> None:
        self._subset = subset
        self._network = network
        self._clock = clock
        self._fresh = fresh
        self._is_held = is_held
        self._is_denied = is_denied
        self._found = found
        self._period_s = period_s
        self._sightings: Counter[str] = Counter()
        # (name, resource version) of claims that are kept for a host -> when they were first seen so.
        self._kept: dict[tuple[str, str], datetime] = {}
        # Names of claims that bound guests use and do not hold, as one that rests.
        self._used: set[str] = set()

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await self._clock.sleep(self._period_s)
            await self.sweep()

    async def sweep(self) -> None:
        """Look once at every address and every bound guest."""
        if not self._fresh():
            self._sightings.clear()
            self._kept.clear()
            return
        before, self._sightings = self._sightings, Counter()
        kept, self._kept = self._kept, {}
        self._used.clear()
        await self._sweep_guests(before)
        await self._sweep_claims(before, kept)

    async def _sweep_claims(self, before: Counter[str], kept: Mapping[tuple[str, str], datetime]) -> None:
        for number, name in enumerate(list(self._subset.claims.by_name)):
            if number % _SLICE == 0:
                # There may be many; other work goes on between slices.
                await asyncio.sleep(0)
            address = self._subset.claims.by_name.get(name)
            if address is None:
                continue
            with self._passing_over(address=name):
                await self._look(address, before, kept)

    async def _sweep_guests(self, before: Counter[str]) -> None:
        for number, guest in enumerate(list(self._subset.guests.values())):
            if number % _SLICE == 0:
                # There may be many; other work goes on between slices.
                await asyncio.sleep(0)
            held = {use_of(each) for each in self._subset.claims.of_guest(guest_id_of(guest))}
            for bound in guest.status.addresses:
                if (bound.interface, bound.address) in held:
                    continue
                with self._passing_over(guest=guest_id_of(guest)):
                    await self._look_at_bound(guest, bound, before)

    @contextmanager
    def _passing_over(self, **what: str) -> Iterator[None]:
        """Let nothing about one object keep the others from being looked at."""
        try:
            yield
        except InnkeeperError as error:
            log.info("sweep_put_off", **what, reason=error.reason)
        except Exception:
            log.exception("sweep_broke", **what)
            self._found(Finding.NOT_UNDERSTOOD)

    async def _look(
        self, address: IPAddress, before: Counter[str], kept: Mapping[tuple[str, str], datetime]
    ) -> None:
        name = address.metadata.name
        if address.spec.owner is None:
            await self._end_quarantine(address)
        elif not self._is_stood_behind(address, kept) and self._seen_enough(name, before):
            log.warning("address_leak_released", address=name, guest=address.spec.owner.id)
            self._found(Finding.CLAIM_WITHOUT_GUEST)
            await self._network.release(address)

    async def _look_at_bound(self, guest: Guest, bound: GuestAddress, before: Counter[str]) -> None:
        """A bound guest uses its address whatever became of the claim: it is claimed again, if it can be."""
        pool = self._subset.pool_catalog.held(bound.pool)
        is_over = guest.metadata.deletion_timestamp is not None or destroyed_since(guest) is not None
        if pool is None or is_over or self._subset.guest_is_lost(guest):
            return
        guest_id, name = guest_id_of(guest), address_name(pool.space, bound.address)
        there = self._subset.claims.by_name.get(name)
        self._used.add(name)
        if self._seen_enough(f"{guest_id}/{bound.interface}/{bound.address}", before):
            self._found(Finding.GUEST_WITHOUT_CLAIM)
            holder = there.spec.owner if there is not None else None
            if there is not None and holder is None:
                await self._network.free(there)  # it rests; only in the next call somebody else may be faster
            again = holder is None and await self._network.claim_again(guest, bound)
            log.warning(
                "guest_without_claim",
                guest=guest_id,
                address=bound.address,
                claimed_again=again,
                holder=holder.id if holder else None,
            )

    def _seen_enough(self, what: str, before: Counter[str]) -> bool:
        """Count a sighting; tell whether there were as many in a row as it takes, and begin anew then."""
        if before[what] + 1 >= SIGHTINGS:
            return True
        self._sightings[what] = before[what] + 1
        return False

    def _is_kept_for_host(
        self, address: IPAddress, owner: AddressOwner, kept: Mapping[tuple[str, str], datetime]
    ) -> bool:
        """Tell whether a host may use an address, whatever became of the Guest.

        A silent one may, and one that cannot be asked, even without an order there. It ends when the host was asked
        since and holds no such guest, as after it was installed anew: what was heard before the mark may be too old.
        """
        host = address.metadata.annotations.get(HELD_BY_HOST_ANNOTATION)
        if host is None or self._subset.host_is_lost(host):
            return False
        key = (address.metadata.name, address.metadata.resource_version)
        since = self._kept[key] = kept.get(key) or self._clock.now()
        return (
            self._subset.assignment(owner.id, host) is not None
            or self._is_held(owner.id)
            or not self._is_denied(owner.id, host, since)
        )

    def _is_stood_behind(self, address: IPAddress, kept: Mapping[tuple[str, str], datetime]) -> bool:
        """A guest that is not bound yet may be about to use it; a bound one names it or does not."""
        owner = address.spec.owner
        if owner is None:
            return False
        if self._is_kept_for_host(address, owner, kept):
            return True
        key = self._subset.guest_keys.get(owner.id)
        guest = self._subset.guests.get(key) if key else None
        if guest is None:
            return bool(self._subset.assignments_of(owner.id)) or self._is_held(owner.id)
        if guest.status.host is None:
            return True
        held = {use_of(each) for each in self._subset.claims.of_guest(owner.id)}
        return any(
            each.address == address.spec.address
            # A claim may name another interface, as one of an older copy of the store: nothing in use is given away.
            and (each.interface == owner.interface or (each.interface, each.address) not in held)
            for each in guest.status.addresses
        )

    async def _end_quarantine(self, address: IPAddress) -> None:
        if address.spec.released_at is None or address.metadata.name in self._used:
            return  # what a bound guest uses is given to nobody, however its claim came to rest
        released_at, now = parse_rfc3339(address.spec.released_at), self._clock.now()
        if released_at > now + timedelta(seconds=AHEAD_S):
            # It was written by a clock that was ahead, or ours was set back: the rest would last until then.
            log.warning(
                "release_in_the_future", address=address.metadata.name, released_at=address.spec.released_at
            )
            await self._network.release(address)
        elif (now - released_at).total_seconds() >= self._quarantine_s(address):
            await self._network.free(address)

    def _quarantine_s(self, address: IPAddress) -> float:
        """Return how long an address rests: while its pool has no other one, for a part of the time only."""
        catalog, spec = self._subset.pool_catalog, address.spec
        pool = catalog.held(catalog.giver(spec.address_space, number_of(spec.address)) or spec.pool)
        if pool is None:
            return DEFAULT_QUARANTINE_S
        pressed = not has_free(pool, self._subset.claims.taken(pool))
        return pool.quarantine_s * (PRESSED_SHARE if pressed else 1.0)
