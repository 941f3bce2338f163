"""Accepts or refuses guests that are new to this store: either is kept before anybody is told.

New to the store is not always new to the host. A store that was lost, or put back from a copy, does not know of guests
whose machines live here, or whose disks lie here: they were promised before, and a refusal would have them built a
second time elsewhere. So they are not asked whether they fit. What an earlier store told in an Assignment's status
counts as well: a guest that had a disk here gets no empty one.
"""

import asyncio
from dataclasses import dataclass, field, replace

import structlog

from innkeeper.agent import admission, refusals
from innkeeper.agent.asking import Asking
from innkeeper.agent.copied import Copied
from innkeeper.agent.drivers.driver import DomainPhase, Hypervisor
from innkeeper.agent.host_orders import HostOrders, HostSettings
from innkeeper.agent.inventory import Inventory
from innkeeper.agent.judge import held_rank
from innkeeper.agent.ledger import HeldGuest, Ledger
from innkeeper.agent.net.network import HostNet
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.clock import Clock, rfc3339_micro
from innkeeper.domain.allocatable import allocatable
from innkeeper.domain.orders import Order
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import ConditionType, GuestReason, OrderOutcome
from innkeeper.kube.conditions import find
from innkeeper.views.assignment import Assignment

_OFF_BY_ORDER = frozenset({GuestReason.STOPPED, GuestReason.STOPPED_AT_HOST, GuestReason.SUPERSEDED})


@dataclass(frozen=True)
class Admitting:
    """One host's admission."""

    ledger: Ledger
    inventory: Inventory
    copied: Copied
    host_orders: HostOrders
    network: HostNet
    asking: Asking
    paths: StatePaths
    clock: Clock
    one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def admit(
        self, order: Order, assignment: Assignment, *, record: GuestRecord | None, tombstone: Tombstone | None
    ) -> bool:
        """Accept or refuse an order, and keep that; False where nothing can be said yet.

        `record` or `tombstone` is what this store holds of the guest.
        """
        settings, hypervisor = self.host_orders.settings, self.inventory.hypervisor
        if settings is None or hypervisor is None:
            return False  # all guests are looked at again once both were seen
        life = self._lives(order, record)
        created = assignment.metadata.creation_timestamp
        if life is None and not self.asking.is_asked(order, settings.network, created=created):
            return False  # the wire is asked first; its answer, or its silence, wakes the guest
        async with self.one_by_one:  # two guests must not both be promised the same address or memory
            refused = None
            if life is None:
                refused = await self._refusal(order, settings, hypervisor)
                life = await self._was_here(order, assignment, record=record, tombstone=tombstone)
            if life is not None and not _is_twin(order, refused):
                refused = None
            if refused is not None and not self.inventory.known.is_set():
                return False  # it may run here, which is known once the machines were read
            await self._keep(order, assignment.spec.order, refused=refused, life=life or Life.NEW)
        return True

    def as_found(self, held: HeldGuest | None, assignment: Assignment) -> HeldGuest | None:
        """Return a guest as it is held; one that this store has from a copy, as it is found to be since."""
        if held is None or not self.copied.is_copied(held):
            return held
        record, phase = held.record, self.inventory.phases.get(held.order.guest_id)
        if phase is not None and phase.alive and self.copied.is_word_of_copy(record.wish):
            record = replace(record, wish=None)
        if phase is DomainPhase.PAUSED:
            record = replace(record, life=Life.PAUSED)
        is_built = phase is not None or (assignment.status.built_epoch or 0) >= held.order.epoch
        if record.life is Life.NEW and is_built:
            record = replace(record, life=Life.UP)
        return replace(held, record=record)

    def _lives(self, order: Order, record: GuestRecord | None) -> Life | None:
        """Return how a guest stands whose machine lives here, or None where none does.

        Where this store knows the guest, it is being stopped, since it was to live elsewhere: off by order. One that this
        store does not know stands still because somebody paused it, who lets it go on, too.
        """
        phase = self.inventory.phases.get(order.guest_id)
        if phase is None or not phase.alive:
            return None
        if record is not None:
            return Life.OFF
        return Life.PAUSED if phase is DomainPhase.PAUSED else Life.UP

    async def _was_here(
        self, order: Order, assignment: Assignment, *, record: GuestRecord | None, tombstone: Tombstone | None
    ) -> Life | None:
        """Return how a guest stands that is off and that a store before this one knew; None where it is new here.

        What its machine is found to have done says the rest, unless the host itself told that it was off by order.
        """
        known, told = held_rank(record, tombstone), assignment.status.built_epoch
        # This host itself said so, by an order that this store never read.
        is_told = told is not None and (known is None or told > known.epoch)
        if not is_told and not await self._has_left(order, record, tombstone):
            return None
        ready = find(assignment.status.conditions, ConditionType.READY)
        return Life.OFF if ready is not None and ready.reason in _OFF_BY_ORDER else Life.UP

    async def _has_left(self, order: Order, record: GuestRecord | None, tombstone: Tombstone | None) -> bool:
        """Tell whether a machine or a disk is here of which this store does not know why."""
        if record is not None or (tombstone is not None and tombstone.forgotten):
            return False
        is_machine = order.guest_id in self.inventory.phases
        return is_machine or await asyncio.to_thread(self.paths.guest(order.guest_id).disk.exists)

    async def _refusal(
        self, order: Order, settings: HostSettings, hypervisor: Hypervisor
    ) -> admission.Refusal | None:
        has = hypervisor.capacity
        facts = admission.HostFacts(
            no_network=await self.network.missing(order, settings.network),
            in_use=self.asking.take(order),
            hypervisor=hypervisor.kind,
            allow_emulation=settings.allow_emulation,
            allocatable=allocatable(
                Amounts(has.cpu_millis, has.memory_bytes, has.disk_bytes),
                reserved=settings.reserved,
                overcommit=settings.overcommit,
            ),
            network=settings.network,
        )
        promised = list(self.ledger.promised())
        return admission.refusal(
            order,
            facts,
            others=[each.order for each in promised if not self.copied.waits(each)],
            waiting=[each.order for each in promised if self.copied.waits(each)],
        )

    async def _keep(self, order: Order, text: str, *, refused: admission.Refusal | None, life: Life) -> None:
        log = structlog.get_logger(__name__).bind(
            guest=order.guest_id, epoch=order.epoch, serial=order.serial
        )
        self.asking.take(order)  # where nobody needed the answer
        outcome = OrderOutcome.REFUSED if refused else OrderOutcome.ACCEPTED
        accepted = Ready(status=False, reason=GuestReason.ACCEPTED)
        record = GuestRecord(
            guest_id=order.guest_id,
            order=refusals.text_of(order) if refused else text,
            rank=order.rank,
            namespace=order.namespace,
            name=order.name,
            outcome=outcome,
            life=Life.NEW if refused else life,
            ready=refused.ready if refused else accepted,
            conflict=refused.conflict if refused else None,
            accepted_at=rfc3339_micro(self.clock.now()),
        )
        kept = refusals.remnant(order) if refused else order
        await self.ledger.put(record, kept, what=f"{outcome} {order.desired}")
        if refused:
            log.warning("order_refused", reason=refused.ready.reason, message=refused.ready.message)
        else:
            lived_here = life is not Life.NEW
            log.info("order_accepted", namespace=order.namespace, name=order.name, lived_here=lived_here)


def _is_twin(order: Order, refused: admission.Refusal | None) -> bool:
    """Tell whether the guest itself answers on the wire, from another machine: it must not run here too."""
    conflict = refused.conflict if refused is not None else None
    return conflict is not None and any(each.mac == conflict.mac for each in order.addresses)
