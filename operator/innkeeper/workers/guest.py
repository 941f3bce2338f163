"""A guest's way as one short loop: each call goes as many steps as it can and says what the next one waits for.

Steps 1 to 3 decide on the subset; the binding is one guarded patch, so of two operators one succeeds. Killed between
any two writes, the next call ends in the same state.
"""

from dataclasses import replace
from typing import Any

import structlog

from innkeeper.domain import names
from innkeeper.domain.lifecycle.answered import is_refused, is_refused_now, may_hold
from innkeeper.domain.lifecycle.binding import binding
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.destroyed import destroyed_since
from innkeeper.domain.lifecycle.revival import is_unbound_revival
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.client import Client
from innkeeper.kube.conditions import find
from innkeeper.kube.resources import GUESTS
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.assignment import AddressConflict, Assignment
from innkeeper.views.guest import Guest, GuestAddress
from innkeeper.workers.assigner import AssignerWorker
from innkeeper.workers.binding import write_facts
from innkeeper.workers.deletion import DeletionWorker
from innkeeper.workers.image import ImageWorker
from innkeeper.workers.network import NetworkWorker, twin_of
from innkeeper.workers.reviver import Reviver
from innkeeper.workers.scheduler import Placed, SchedulerWorker

log = structlog.get_logger()

ADDRESSES_PER_HOST = 3  # that one host may find in use for one guest before it is left alone for a while


class GuestWorker:
    """Leads one guest at a time a few steps on."""

    def __init__(
        self,
        client: Client,
        subset: Subset,
        *,
        images: ImageWorker,
        scheduler: SchedulerWorker,
        network: NetworkWorker,
        assigner: AssignerWorker,
        deletion: DeletionWorker,
        reviver: Reviver,
    ) -> None:
        self._client = client
        self._subset = subset
        self._images = images
        self._scheduler = scheduler
        self._network = network
        self._assigner = assigner
        self._deletion = deletion
        self._reviver = reviver

    async def advance(self, guest: Guest) -> Blocked | None:
        """Go as far as can be gone now; return why it does not go further, or None.

        Raises:
            ApiError: the API server refused, or is away; a conflict means that a newer version is on its way.
        """
        if guest.metadata.deletion_timestamp is not None:
            self._scheduler.forget(guest_id_of(guest))
            if is_unbound_revival(guest) and names.GUEST_FINALIZER in guest.metadata.finalizers:
                guest = await self._reviver.bind_to_destroy(guest)
            return await self._deletion.advance(guest)
        if names.GUEST_FINALIZER not in guest.metadata.finalizers:
            guest = await self._with_finalizer(guest)
        await self._void_removals(guest)
        destroyed = destroyed_since(guest)
        if destroyed is not None:
            await self._deletion.release_destroyed(guest_id_of(guest))
            return destroyed
        if is_unbound_revival(guest):
            revived = await self._reviver.complete(guest)
            if isinstance(revived, Blocked):
                return revived
            guest = revived
        if self._subset.guest_is_lost(guest):
            await self._network.release_all(guest_id_of(guest))
            return None
        guest = await self._take_refusal(guest)
        if guest.status.host is None:
            bound = await self._bind(guest)
            if isinstance(bound, Blocked):
                return bound
            guest = bound
        await self._drop_old_orders(guest)
        return await self._assigner.ensure(guest)

    async def _with_finalizer(self, guest: Guest) -> Guest:
        """Nothing is done for a guest before its finalizer is there; usually admission has put it."""
        finalizers = [*guest.metadata.finalizers, names.GUEST_FINALIZER]
        written = await self._client.patch(
            GUESTS,
            guest.metadata.name,
            {"metadata": {"finalizers": finalizers}},
            namespace=guest.metadata.namespace,
            resource_version=guest.metadata.resource_version,
            uid=guest.metadata.uid,
        )
        self._subset.assume(written)
        return written

    async def _bind(self, guest: Guest) -> Guest | Blocked:
        """Steps 1 to 4: image, host, address, and the one patch that makes them true."""
        twin = self._network.waits_for_twin(guest)
        if twin is not None:
            return twin
        amounts = self._scheduler.amounts(guest)
        if isinstance(amounts, Blocked):
            return amounts
        image = self._images.resolve(guest, disk_bytes=amounts.disk_bytes)
        if isinstance(image, Blocked):
            return image
        bound = await self._bind_with(guest, image, amounts)
        if isinstance(bound, Blocked):
            return replace(bound, passed=(ConditionType.IMAGE_RESOLVED,))
        return bound

    async def _bind_with(self, guest: Guest, image: OrderImage, amounts: Amounts) -> Guest | Blocked:
        placed = self._scheduler.place(guest, amounts=amounts)
        if isinstance(placed, Blocked):
            return placed
        try:
            async with self._network.macs(guest, placed.cluster) as mac_in_use:
                if mac_in_use is not None:
                    return mac_in_use
                addresses = await self._network.claim(guest, placed.wanted)
                if isinstance(addresses, Blocked):
                    return addresses
                return await self._write_binding(guest, placed, image, amounts, addresses)
        finally:
            self._subset.settle_promise(guest_id_of(guest))

    async def _write_binding(
        self,
        guest: Guest,
        placed: Placed,
        image: OrderImage,
        amounts: Amounts,
        addresses: list[GuestAddress],
    ) -> Guest:
        guest_id = guest_id_of(guest)
        facts = binding(
            guest_id,
            host=placed.host,
            cluster=placed.cluster,
            epoch=max(1, guest.status.epoch),
            addresses=addresses,
            image=image,
            amounts=amounts,
        )
        written = await self._write_status(guest, facts)
        log.info("guest_bound", guest=guest_id, host=placed.host, cluster=placed.cluster)
        return written

    async def _take_refusal(self, guest: Guest) -> Guest:
        """A host that refused is left: the epoch rises, the host is cleared, and it is avoided for a while."""
        host = guest.status.host
        assignment = self._subset.assignment(guest_id_of(guest), host) if host else None
        if host is None or not is_refused_now(guest, assignment):
            return guest
        facts: dict[str, Any] = {"host": None, "epoch": guest.status.epoch + 1}
        if _reason(assignment) == GuestReason.ADDRESS_IN_USE and not twin_of(guest, assignment):
            # The address is at fault, not the host; the guest gets another one.
            facts["addresses"] = await self._network.replace(guest, _conflict(assignment))
            if self._subset.refusals.address_was_in_use(guest_id_of(guest), host) >= ADDRESSES_PER_HOST:
                # Or is it? A host that says so of each address must not send the whole pool to rest.
                self._scheduler.avoid(guest_id_of(guest), host)
        else:
            self._scheduler.avoid(guest_id_of(guest), host)
        log.info("host_refused", guest=guest_id_of(guest), host=host, reason=_reason(assignment))
        return await self._write_status(guest, facts)

    async def _void_removals(self, guest: Guest) -> None:
        """Take back the word that an orphan be removed: this guest has an object, so it is none."""
        for assignment in list(self._subset.assignments_of(guest_id_of(guest)).values()):
            if names.REMOVE_ORPHAN_ANNOTATION in assignment.metadata.annotations:
                await self._assigner.void_removal(assignment)

    async def _drop_old_orders(self, guest: Guest) -> None:
        """Of orders of lower epochs on other hosts remove those that hold nothing; tell the rest where the guest lives.

        A host whose guest a person destroyed or lost beside its order is asked for nothing more.
        """
        for host, assignment in list(self._subset.assignments_of(guest_id_of(guest)).items()):
            if host == guest.status.host or assignment.spec.epoch >= guest.status.epoch:
                continue
            if is_refused(assignment):
                await self._assigner.remove(assignment)
            elif may_hold(assignment) and not self._subset.host_is_lost(host):
                # What hinders that never hinders the guest itself: it is tried again with the next change.
                await self._assigner.supersede(guest, host)

    async def _write_status(self, guest: Guest, facts: dict[str, Any]) -> Guest:
        """Write facts beside what the status says already; None takes a field away."""
        written = await write_facts(self._client, guest, facts)
        self._subset.assume(written, led=(guest.metadata.namespace, guest.metadata.name))
        return written


def _conflict(assignment: Assignment | None) -> AddressConflict | None:
    return assignment.status.conflict if assignment else None


def _reason(assignment: Assignment | None) -> str:
    ready = find(assignment.status.conditions, ConditionType.READY) if assignment else None
    return ready.reason if ready else ""
