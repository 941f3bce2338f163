"""Step 3: which address. An IPAddress object that is created is the lock: who creates it first has it.

An address belongs to the Guest ID, so "exists and is mine" is success, also after a restart between any two writes. It
is released by clearing its owner; the object stays through its quarantine.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog

from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.domain.addressing.claim import is_meant, use_of
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.client import Client
from innkeeper.kube.conditions import find
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import IP_ADDRESSES
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.assignment import AddressConflict, Assignment
from innkeeper.views.guest import Guest, GuestAddress
from innkeeper.views.network import IPAddress
from innkeeper.workers.claim_writes import change_claim, is_kept_for, kept_for, released
from innkeeper.workers.claiming import Claiming, Unclaimable
from innkeeper.workers.macs import in_use, mac_conflict, macs_of
from innkeeper.workers.shortage import Wanted

log = structlog.get_logger()

_LOOK_AGAIN_S = 1.0


class NetworkWorker:
    """Claims and releases addresses."""

    def __init__(self, client: Client, subset: Subset, clock: Clock) -> None:
        self._client = client
        self._subset = subset
        self._clock = clock
        self._binding: dict[tuple[str, str], Guest] = {}  # (cluster, MAC) of guests that are being bound
        self._claiming = Claiming(client, subset, clock)

    @asynccontextmanager
    async def macs(self, guest: Guest, cluster: str) -> AsyncIterator[Blocked | None]:
        """Keep a guest's MACs from others while it is bound; yield why it cannot have one of them, or None."""
        problem = mac_conflict(self._subset, guest, cluster=cluster) or self._mac_being_bound(guest, cluster)
        if problem is not None:
            yield problem
            return
        held = {(cluster, mac): guest for mac in macs_of(guest).values()}
        self._binding |= held
        try:
            yield None
        finally:
            for key in held:
                del self._binding[key]
            for _, mac in held:
                self._subset.wake(waiting.mac(cluster, mac))

    def _mac_being_bound(self, guest: Guest, cluster: str) -> Blocked | None:
        for mac in sorted(macs_of(guest).values()):
            other = self._binding.get((cluster, mac))
            if other is not None and guest_id_of(other) != guest_id_of(guest):
                return in_use(mac, cluster, other, told_to=guest.metadata.namespace)
        return None

    def mac_of_elder(self, guest: Guest) -> Blocked | None:
        """Tell of an older guest that is bound to a MAC of this one: two operators at once may bind two alike.

        Checked before the first order is signed: the younger one never reaches a host.
        """
        cluster = guest.status.cluster or ""
        for mac in sorted({each.mac for each in guest.status.addresses}):
            for other in self._subset.guests_of_mac(mac, other_than=guest_id_of(guest)):
                if other.status.cluster == cluster and _age(other) < _age(guest):
                    return in_use(mac, cluster, other, told_to=guest.metadata.namespace)
        return None

    async def claim(self, guest: Guest, wanted: Iterable[Wanted]) -> list[GuestAddress] | Blocked:
        """Return every wanted address: those that the guest holds already, else new ones. All of them, or none.

        What was claimed stays the guest's where the rest is taken: nobody can tell whether another operator has bound the
        guest to it by now, so it goes once the guest is bound without it, or gone.

        Raises:
            ApiError: the API server refused, or is away; what was claimed by then is found again by the next call.
        """
        wanted = list(wanted)
        held = {(each.interface, each.name): each.held for each in wanted if each.held is not None}
        try:
            held |= await self._claiming.claim(guest, [each for each in wanted if each.held is None])
        except Unclaimable as short:
            return _gone_meanwhile(short.wanted)
        macs = macs_of(guest)
        return [
            GuestAddress(
                interface=each.interface,
                pool=each.name,
                address=held[each.interface, each.name].spec.address,
                mac=macs[each.interface],
            )
            for each in wanted
        ]

    async def claim_again(self, guest: Guest, bound: GuestAddress) -> bool:
        """Claim an address that a bound guest uses and that nobody holds; False where somebody else holds it.

        Since when it has it, its condition tells.

        Raises:
            ApiError: the API server refused, or is away.
        """
        pool = self._subset.pool_catalog.held(bound.pool)
        if pool is None:
            return False
        wanted = Wanted(bound.interface, bound.pool, pool, bound.address, None)
        assigned = find(guest.status.conditions, ConditionType.ADDRESSES_ASSIGNED)
        is_told = assigned is not None and assigned.status == "True"
        since = assigned.last_transition_time if assigned is not None and is_told else None
        return await self._claiming.create(guest, wanted, bound.address, since=since) is not None

    async def free(self, address: IPAddress) -> None:
        """Remove an IPAddress that nobody uses, so that its address may be given again.

        Raises:
            ApiError: the API server refused, or is away; a conflict means that somebody else wrote it.
        """
        metadata = address.metadata
        try:
            if metadata.deletion_timestamp is None:
                await self._client.delete(
                    IP_ADDRESSES, metadata.name, uid=metadata.uid, resource_version=metadata.resource_version
                )
            # The uid is guard enough: the API server lets nobody put a finalizer on what is being deleted.
            finalizers = [each for each in metadata.finalizers if each != names.ADDRESS_FINALIZER]
            await self._client.patch(
                IP_ADDRESSES, metadata.name, {"metadata": {"finalizers": finalizers}}, uid=metadata.uid
            )
        except NotFoundError:
            return
        log.info("address_free_again", address=metadata.name)

    async def release(self, held: IPAddress) -> None:
        """Take an address from its owner; it stays in quarantine.

        Raises:
            ApiError: the API server refused, or is away.
        """
        written = await change_claim(self._client, held, released(self._clock.now()))
        self._subset.assume(written)
        log.info("address_released", address=held.spec.address, pool=held.spec.pool)

    async def hold_for_host(self, guest_id: str, host: str) -> None:
        """Note on each address of a guest that a silent host may still use it, whatever becomes of the order there.

        Raises:
            ApiError: the API server refused, or is away.
        """
        for held in self._subset.claims.of_guest(guest_id):
            if not is_kept_for(held, host):
                self._subset.assume(await change_claim(self._client, held, kept_for(host)))

    async def replace(self, guest: Guest, conflict: AddressConflict | None) -> list[dict[str, Any]] | None:
        """Release the address that another machine uses, or all where the host did not say which; return what is left.

        Raises:
            ApiError: the API server refused, or is away.
        """
        bound = {(each.interface, each.address) for each in guest.status.addresses}
        gone = {each for each in bound if conflict is not None and is_meant(conflict, *each)} or bound
        guest_id = guest_id_of(guest)
        for held in self._subset.claims.of_guest(guest_id):
            use = use_of(held)
            if use is not None and conflict is not None and is_meant(conflict, *use):
                self._subset.refusals.claim_was_in_use(guest_id, held.metadata.uid)
            if use in gone:
                await self.release(held)
        left = [each for each in guest.status.addresses if (each.interface, each.address) not in gone]
        return [msgspec.to_builtins(each) for each in left] or None

    def waits_for_twin(self, guest: Guest) -> Blocked | None:
        """Tell that the host which found a machine with a MAC of this guest is not to be asked again yet."""
        return waits_for_twin(self._subset, guest, now=self._clock.monotonic())

    async def release_all(self, guest_id: str) -> None:
        """Release everything that a guest holds."""
        for held in self._subset.claims.of_guest(guest_id):
            await self.release(held)

    def owns(self, guest: Guest) -> bool:
        """Tell whether each bound address is held by this guest: checked before an order is signed."""
        mine = {use_of(held) for held in self._subset.claims.of_guest(guest_id_of(guest))}
        return all((each.interface, each.address) in mine for each in guest.status.addresses)


def twin_of(guest: Guest, assignment: Assignment | None) -> AddressConflict | None:
    """Return what a host found where a machine with a MAC of this guest answered: no other address would help."""
    conflict = assignment.status.conflict if assignment else None
    if conflict is None:
        return None
    own = {each.mac for each in guest.status.addresses} | set(macs_of(guest).values())
    return conflict if conflict.mac.lower() in {each.lower() for each in own} else None


def waits_for_twin(subset: Subset, guest: Guest, *, now: float) -> Blocked | None:
    """Tell that the host which found a machine with a MAC of this guest is left out, as the monotonic clock says."""
    guest_id = guest_id_of(guest)
    for host, each in subset.assignments_of(guest_id).items():
        found = twin_of(guest, each)
        if found is None or host not in subset.refusals.standing(guest_id, now=now):
            continue
        message = (
            f"a machine with this guest's own MAC {found.mac} has {found.address} on the wire of the host {host}: it "
            "may be this guest's, on a host that was given up; end it; the wire is asked again after a rest"
        )
        return Blocked(
            step=ConditionType.ADDRESSES_ASSIGNED,
            reason=GuestReason.ADDRESS_IN_USE,
            message=message,
            again_after_s=subset.refusals.time_left(guest_id, frozenset({host}), now=now),
        )
    return None


def _age(guest: Guest) -> tuple[str, str]:
    """Return what the younger guest has more of."""
    return guest.metadata.creation_timestamp, guest_id_of(guest)


def _gone_meanwhile(wanted: Wanted) -> Blocked:
    """Between the look and the claim somebody else took it: the next look says who, or finds another one."""
    what = wanted.fixed or f"the last address of the IPPool {wanted.name!r}"
    return Blocked(
        step=ConditionType.ADDRESSES_ASSIGNED,
        reason=GuestReason.POOL_EXHAUSTED,
        message=f"{what} was taken by somebody else",
        causes=(waiting.pool(wanted.name),),
        again_after_s=_LOOK_AGAIN_S,
    )
