"""Carries out operations: each exactly once, wherever this agent is killed meanwhile.

Before anything happens it is kept that the operation began, and on which run of the machine; once that run has ended,
that too. Whoever goes on sees from both whether the old run is still to be ended, or the next one to be started.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from innkeeper.agent.drivers.driver import DomainState, Driver, HypervisorAwayError
from innkeeper.agent.ledger import HeldGuest, Ledger
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.operations.book import OperationBook
from innkeeper.agent.plan import PAUSED
from innkeeper.agent.slots import Slots
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.records import Life, Ready
from innkeeper.agent.work import GuestWork
from innkeeper.clock import Clock, rfc3339
from innkeeper.domain.orders import OrderOperation
from innkeeper.domain.reasons import GuestReason, OperationKind, OperationPhase, OperationReason
from innkeeper.errors import InnkeeperError

MAX_MESSAGE = 400
AWAY_S = 300.0  # how long a hypervisor that is away is waited for
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
_REBOOTING = Ready(status=False, reason=GuestReason.REBOOTING)
_ENDED = ""  # no run has this name


class OperationImpossibleError(InnkeeperError):
    """The operation cannot be done to the guest as it is."""


@dataclass(frozen=True)
class Operating:
    """What operations are carried out with."""

    book: OperationBook
    ledger: Ledger
    driver: Driver
    work: GuestWork
    start_slots: Slots
    clock: Clock

    async def run(
        self, guest: HeldGuest, operation: OrderOperation, wanted: Callable[[], Wanted]
    ) -> OperationRecord:
        """Begin an operation, or go on with it; return how it ended, which is kept."""
        log = structlog.get_logger(__name__).bind(
            guest=guest.order.guest_id, operation=operation.id, kind=operation.kind
        )
        try:
            record = await self._patiently(guest, operation, wanted)
        except HypervisorAwayError as error:
            message = f"the host's hypervisor was away for {AWAY_S:.0f} s: {error.message}"
            log.warning("operation_failed", reason=OperationReason.HYPERVISOR_AWAY, message=message)
            reason = OperationReason.HYPERVISOR_AWAY
            return await self.fail(guest, operation, reason=reason, message=message)
        except InnkeeperError as error:
            log.warning("operation_failed", reason=error.reason, message=error.message)
            return await self.fail(guest, operation, reason=error.reason, message=error.message)
        except Exception:
            log.exception("operation_broke")
            message = "the agent could not do it; its log says why"
            return await self.fail(guest, operation, reason=GuestReason.DRIVER_FAILED, message=message)
        log.info("operation_done")
        return await self.book.put(self._ended(record, OperationPhase.SUCCEEDED))

    async def _patiently(
        self, guest: HeldGuest, operation: OrderOperation, wanted: Callable[[], Wanted]
    ) -> OperationRecord:
        """Begin, or go on, and wait for a hypervisor that is away: each try looks anew at what lives.

        Raises:
            HypervisorAwayError: it was away for `AWAY_S` seconds.
            InnkeeperError: the operation cannot be done.
        """
        end, pause = self.clock.monotonic() + AWAY_S, FIRST_PAUSE_S
        while True:
            try:
                record = self.book.get(guest.order) or await self._begin(guest, operation)
                return await self._carry_out(record, guest, wanted)
            except HypervisorAwayError as error:
                if self.clock.monotonic() + pause > end:
                    raise
                structlog.get_logger(__name__).info(
                    "operation_waits",
                    guest=guest.order.guest_id,
                    operation=operation.id,
                    message=error.message,
                )
            await self.clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def fail(
        self, guest: HeldGuest, operation: OrderOperation, *, reason: str, message: str
    ) -> OperationRecord:
        """Keep that an operation failed, begun or not. What its guest shall be stands in the order and comes next."""
        record = self.book.get(guest.order) or self._new(guest, operation, instance=_ENDED)
        failed = replace(record, reason=reason, message=message[:MAX_MESSAGE])
        return await self.book.put(self._ended(failed, OperationPhase.FAILED))

    async def _begin(self, guest: HeldGuest, operation: OrderOperation) -> OperationRecord:
        if operation.kind not in set(OperationKind):
            message = f"this host's agent does not know the operation {operation.kind[:63]!r}: install a newer agent"
            raise OperationImpossibleError(message, reason=OperationReason.OPERATION_UNKNOWN)
        machine = await self._machine(guest)
        if machine is None:
            raise OperationImpossibleError(
                "the guest's machine is off; its restart policy and power decide when it starts",
                reason=OperationReason.GUEST_NOT_RUNNING,
            )
        return await self.book.put(self._new(guest, operation, instance=machine.instance))

    async def _carry_out(
        self, record: OperationRecord, guest: HeldGuest, wanted: Callable[[], Wanted]
    ) -> OperationRecord:
        guest_id = guest.order.guest_id
        match OperationKind(record.kind):
            case OperationKind.REBOOT:
                return await self._reboot(record, guest, wanted, grace_s=self.work.stop_grace_s)
            case OperationKind.HARD_REBOOT:
                return await self._reboot(record, guest, wanted, grace_s=0)
            case OperationKind.PAUSE:
                await self.driver.pause(guest_id)
                await self.ledger.settle(guest_id, life=Life.PAUSED, ready=PAUSED)
            case OperationKind.RESUME:
                await self.work.resume(guest)
                if await self._machine(guest) is None:
                    raise OperationImpossibleError(
                        "the guest's machine ended before it could go on; its restart policy and power decide when it "
                        "starts",
                        reason=OperationReason.GUEST_NOT_RUNNING,
                    )
                await self.work.started(guest)
        return record

    async def _reboot(
        self, record: OperationRecord, guest: HeldGuest, wanted: Callable[[], Wanted], *, grace_s: float
    ) -> OperationRecord:
        # Off by order: where this ends half way, the guest is started and no restart policy is asked.
        await self.ledger.settle(guest.order.guest_id, life=Life.OFF, ready=_REBOOTING)
        machine = await self._machine(guest)
        if machine is not None and machine.instance == record.instance:
            await self.driver.stop(guest.order.guest_id, grace_s=grace_s)
            machine = None
        record = await self.book.put(replace(record, instance=_ENDED))
        if machine is None:
            async with self.start_slots.taken(guest.start_rank):
                await self.work.start(guest, wanted)
        else:
            await self.work.started(guest)
        return record

    async def _machine(self, guest: HeldGuest) -> DomainState | None:
        """Return the guest's machine where it lives."""
        found = (await self.driver.domains()).get(guest.order.guest_id)
        return found if found is not None and found.phase.alive else None

    def _new(self, guest: HeldGuest, operation: OrderOperation, *, instance: str) -> OperationRecord:
        return OperationRecord(
            guest_id=guest.order.guest_id,
            id=operation.id,
            kind=operation.kind,
            phase=OperationPhase.RUNNING,
            instance=instance,
            started_at=rfc3339(self.clock.now()),
        )

    def _ended(self, record: OperationRecord, phase: OperationPhase) -> OperationRecord:
        return replace(record, phase=phase, finished_at=rfc3339(self.clock.now()))
