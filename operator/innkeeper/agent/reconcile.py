"""Brings each guest to what its order says: reads the order, then asks `plan` for the next step.

It is asked about one guest at a time, by its ID, after everything that happens to it. Work that takes time runs as a job,
so a newer order is always read at once. An Assignment that is gone or going changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from innkeeper.agent import refusals
from innkeeper.agent.admitting import Admitting
from innkeeper.agent.copied import Copied
from innkeeper.agent.drivers.driver import DomainPhase
from innkeeper.agent.figures import AgentFigures
from innkeeper.agent.goal import Goal, goal_of, outlives
from innkeeper.agent.host_orders import HostOrders
from innkeeper.agent.inventory import Inventory
from innkeeper.agent.jobs import Jobs
from innkeeper.agent.judge import Meaning, held_rank, meaning, read_order
from innkeeper.agent.ledger import HeldGuest, Ledger
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.operations.operating import Operating
from innkeeper.agent.plan import RUNNING, Do, JobKind, Restart, Settle, next_step
from innkeeper.agent.readiness.prober import Prober
from innkeeper.agent.report import AssignmentReport, Verdict
from innkeeper.agent.slots import Slots
from innkeeper.agent.start_gate import StartGate
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.records import AddressInUse, GuestRecord, Life, Ready, Tombstone
from innkeeper.agent.trials import Trials
from innkeeper.agent.work import GuestWork
from innkeeper.clock import Clock, rfc3339_micro
from innkeeper.domain.orders import Order, OrderInvalidError, OrderOperation
from innkeeper.domain.reasons import (
    Desired,
    GuestReason,
    OperationKind,
    OperationPhase,
    OperationReason,
    OrderOutcome,
)
from innkeeper.errors import InnkeeperError
from innkeeper.to_its_end import to_its_end
from innkeeper.views.assignment import Assignment

STORE_AGAIN_S = 5.0
LET_BE = Ready(
    status=False,
    reason=GuestReason.WAITING_FOR_ORDERS,
    message="the host's store was put back from a copy, and the guest goes on as it does until an order for it comes",
)
_STARTS = frozenset({JobKind.BUILD, JobKind.START})
_ON_THE_WAY: Mapping[str, GuestReason] = {
    Desired.RUNNING: GuestReason.STARTING,
    Desired.STOPPED: GuestReason.STOPPING,
    Desired.SUPERSEDED: GuestReason.STOPPING,
    Desired.DESTROYED: GuestReason.DELETING,
}
Wake = Callable[[str, float], None]  # Guest ID, seconds from now


@dataclass(frozen=True)
class Identity:
    """Who this agent is."""

    host: str
    store_id: str


@dataclass(frozen=True)
class Reconciler:
    """One host's reconciler. `wake` has a guest looked at again."""

    identity: Identity
    ledger: Ledger
    inventory: Inventory
    host_orders: HostOrders
    admitting: Admitting
    copied: Copied
    prober: Prober
    work: GuestWork
    operating: Operating
    jobs: Jobs
    report: AssignmentReport
    figures: AgentFigures
    clock: Clock
    wake: Wake
    gate: StartGate
    build_slots: Slots
    start_slots: Slots  # of their own: a guest that crashed does not wait for builds, which may copy an image
    trials: dict[str, Trials] = field(default_factory=dict)

    async def reconcile(self, guest_id: str, assignment: Assignment | None) -> None:
        """Look at one guest."""
        if assignment is not None:
            await self._read(guest_id, assignment)
        guest = self.ledger.get(guest_id)
        if guest is not None and guest.record.outcome == OrderOutcome.ACCEPTED:
            await self._converge(guest_id)

    async def _read(self, guest_id: str, assignment: Assignment) -> None:
        """Read the order in an Assignment, keep what follows from it, and say so in the report."""
        held = self.ledger.get(guest_id)
        record = held.record if held else None
        tombstone = None if record else await self.ledger.tombstone(guest_id)
        verdict = Verdict(
            uid=assignment.metadata.uid,
            generation=assignment.metadata.generation,
            outcome=OrderOutcome.ACCEPTED,
            held=held_rank(record, tombstone),
        )
        text = assignment.spec.order
        try:
            order = read_order(
                text,
                keys=self.host_orders.keys,
                host=self.identity.host,
                store_id=self.identity.store_id,
                guest_id=guest_id,
            )
        except OrderInvalidError as error:
            self.figures.orders.labels("invalid").inc()
            self._say_invalid(guest_id, verdict, error)
            return
        found = meaning(order, record, tombstone)
        self.figures.orders.labels(found.name.lower()).inc()
        match found:
            case Meaning.SUPERSEDED:
                self.report.say(guest_id, replace(verdict, outcome=OrderOutcome.SUPERSEDED))
            case Meaning.DESTROYED_BEFORE:
                await self._destroyed_before(order, text, tombstone, verdict)
            case Meaning.LIVES_ELSEWHERE:
                message = (
                    f"the guest lives elsewhere since epoch {order.epoch}: only a higher epoch brings it back"
                )
                self._say_invalid(guest_id, verdict, OrderInvalidError(message))
            case _:
                kept = await self._keep(found, order, assignment, held, tombstone=tombstone)
                if kept is not None and not self._is_unseen(kept, assignment):
                    told = replace(
                        verdict,
                        outcome=kept.record.outcome,
                        held=kept.record.rank,
                        conflict=kept.record.conflict,
                    )
                    self.report.say(guest_id, told)

    def _is_unseen(self, guest: HeldGuest, assignment: Assignment) -> bool:
        """Tell whether it would be said of a newer order that all is well, though nobody has looked at the machines."""
        is_new = assignment.status.observed_generation != assignment.metadata.generation
        return is_new and guest.shown.status and not self.inventory.known.is_set()

    async def _keep(
        self,
        found: Meaning,
        order: Order,
        assignment: Assignment,
        held: HeldGuest | None,
        *,
        tombstone: Tombstone | None,
    ) -> HeldGuest | None:
        """Keep the order; return the guest as it is held now, or None where nothing can be said yet."""
        text = assignment.spec.order
        log = structlog.get_logger(__name__).bind(
            guest=order.guest_id, epoch=order.epoch, serial=order.serial
        )
        if found is Meaning.SAME:
            return held
        if found is Meaning.REFUSED_BEFORE and held is not None:
            before = held.record
            record = self._record(
                order, text, before.outcome, life=Life.NEW, ready=before.ready, conflict=before.conflict
            )
            await self.ledger.put(record, refusals.remnant(order), what=f"{record.outcome} {order.desired}")
        elif found is Meaning.ADMIT:
            old = held.record if held is not None else None
            if not await self.admitting.admit(order, assignment, record=old, tombstone=tombstone):
                return None
        elif held is not None and self.copied.is_unsure(held):
            return None  # what is here of it says what the order changes
        else:
            await self._update(order, assignment, seen=held)
            self.trials.pop(order.guest_id, None)
            log.info("order_updated", desired=order.desired)
        return self.ledger.get(order.guest_id)

    async def _update(self, order: Order, assignment: Assignment, *, seen: HeldGuest | None) -> None:
        """Keep a newer order beside what a job or a person at the host writes of the guest meanwhile."""

        def make(held: HeldGuest | None) -> GuestRecord | None:
            if held is None and seen is not None:
                return None  # it was taken off this host: its tombstone answers the order
            found = self.admitting.as_found(held, assignment)
            life, ready = _carried_over(order, found)
            text = assignment.spec.order
            return self._record(order, text, OrderOutcome.ACCEPTED, life=life, ready=ready, held=found)

        await self.ledger.change(order, make, what=f"{OrderOutcome.ACCEPTED} {order.desired}")

    def _record(
        self,
        order: Order,
        text: str,
        outcome: OrderOutcome,
        *,
        life: Life,
        ready: Ready,
        conflict: AddressInUse | None = None,
        held: HeldGuest | None = None,  # the promise that goes on with this order
    ) -> GuestRecord:
        return GuestRecord(
            guest_id=order.guest_id,
            order=refusals.text_of(order) if outcome == OrderOutcome.REFUSED else text,
            rank=order.rank,
            namespace=order.namespace,
            name=order.name,
            outcome=outcome,
            life=life,
            ready=ready,
            conflict=conflict,
            accepted_at=held.record.accepted_at if held else rfc3339_micro(self.clock.now()),
            wish=outlives(held.record.wish, held=held.order, order=order) if held else None,
            boot=held.record.boot if held else "",
        )

    async def _destroyed_before(
        self, order: Order, text: str, tombstone: Tombstone | None, verdict: Verdict
    ) -> None:
        rank = tombstone.rank if tombstone else order.rank
        forgotten = tombstone.forgotten if tombstone else ""
        if order.desired == Desired.DESTROYED and order.rank > rank:
            rank = order.rank
            await self.ledger.bury(order, text, forgotten=forgotten)
        ready = Ready(status=False, reason=GuestReason.DESTROYED)
        if forgotten:
            message = f"taken off this host by {forgotten}; its files were set aside there, not deleted"
            ready = Ready(status=False, reason=GuestReason.FORGOTTEN_AT_HOST, message=message)
        self.report.say(
            order.guest_id, replace(verdict, outcome=OrderOutcome.DESTROYED, held=rank, ready=ready)
        )

    async def _converge(self, guest_id: str) -> None:
        guest = self.ledger.get(guest_id)
        if guest is None or not self.inventory.known.is_set():
            return  # all guests are looked at again once their machines were read
        goal = goal_of(guest.record, guest.order)
        job = self.jobs.get(guest_id)
        if job is not None:
            # Its end is not waited for: other guests need this worker, and the end of a job wakes its guest.
            if not job.serves(goal.desired):
                self.jobs.cancel(guest_id)
            return
        if self.copied.is_let_be(guest, goal.desired):
            self.ledger.show(guest_id, LET_BE)
            return
        if await self._operate(guest):
            return
        phase = self.inventory.phases.get(guest_id)
        step = next_step(
            desired=goal.desired,
            restart_policy=guest.order.spec.restart_policy,
            life=guest.record.life,
            phase=phase,
            ready=guest.record.ready,
            running=self._running(guest, goal, phase),
            off=goal.off,
            lived_in_this_boot=self.ledger.lived_in_this_boot(guest),
        )
        await self._take(guest, goal, step, phase)

    async def _operate(self, guest: HeldGuest) -> bool:
        """Begin the operation of a guest that shall run, or go on with it; tell whether there is one.

        Like a start it waits until newer orders were looked for: a store that was put back may lack what became of it.
        """
        operation, goal = self.operating.book.due(guest.order), goal_of(guest.record, guest.order)
        if operation is None or goal.desired == Desired.DESTROYED or self._hold(guest) is not None:
            return False
        if goal.desired != Desired.RUNNING:
            await self.operating.fail(
                guest,
                operation,
                reason=OperationReason.GUEST_STOPPED,
                message="the guest was stopped before the operation was over",
            )
            return False
        work = self._operation(guest, operation)
        self.jobs.start(guest.order.guest_id, JobKind.OPERATE, desired=goal.desired, work=work)
        return True

    async def _operation(self, guest: HeldGuest, operation: OrderOperation) -> None:
        guest_id = guest.order.guest_id
        self.prober.forget(guest_id)  # what it answered before says nothing of it afterwards
        try:
            record = await self.operating.run(guest, operation, self._wanted)
        except InnkeeperError as error:
            # The store keeps nothing now, so nothing has ended: the next look goes on from what it kept.
            structlog.get_logger(__name__).warning(
                "operation_not_kept", guest=guest_id, reason=error.reason, message=error.message
            )
            await self.clock.sleep(STORE_AGAIN_S)
        else:
            self._operated(guest_id, record)
        finally:
            # Also where it was or is cancelled: the next look must see what it did.
            await to_its_end(self.inventory.refresh())

    def _operated(self, guest_id: str, record: OperationRecord) -> None:
        trials = self.trials.setdefault(guest_id, Trials())
        now = self.clock.monotonic()
        if record.phase is OperationPhase.FAILED:
            self.figures.job_failures.labels(JobKind.OPERATE.value, record.reason).inc()
            trials.failed(now, retryable=True)
        elif record.kind in (OperationKind.REBOOT, OperationKind.HARD_REBOOT):
            trials.started(now)

    def crashing(self) -> int:
        """Return how many guests that are to run end again and again."""
        now = self.clock.monotonic()
        to_run = (
            guest.order.guest_id
            for guest in self.ledger.promised()
            if goal_of(guest.record, guest.order).desired == Desired.RUNNING
            and guest.record.life is not Life.RESTING
        )
        return sum(self.trials[each].crashing(now) for each in to_run if each in self.trials)

    def _running(self, guest: HeldGuest, goal: Goal, phase: DomainPhase | None) -> Ready:
        """Return how a guest stands while its machine runs: its readiness probe decides."""
        if phase is not DomainPhase.RUNNING or goal.desired != Desired.RUNNING:
            self.prober.forget(guest.order.guest_id)
            return RUNNING
        return self.prober.verdict(guest.order, was_ready=guest.record.ready == RUNNING)

    async def _take(
        self, guest: HeldGuest, goal: Goal, step: Do | Restart | Settle, phase: DomainPhase | None
    ) -> None:
        guest_id, now = guest.order.guest_id, self.clock.monotonic()
        trials = self.trials.setdefault(guest_id, Trials())
        if isinstance(step, Settle):
            if phase is DomainPhase.RUNNING and (trials.started_at is None or trials.not_before is not None):
                trials.started(now)
            await self.work.settle(guest, life=step.life, ready=step.ready)
            return
        # A machine that was paused by an operation, whose end nobody kept, is not paused by a person's hand.
        is_operated = self.operating.book.due(guest.order) is not None and goal.desired == Desired.RUNNING
        held_up = self._hold(guest) if step.job in _STARTS or is_operated else None
        if held_up is not None:
            self.ledger.show(guest_id, held_up)
            return
        wait = trials.due(now) - now if isinstance(step, Restart) else trials.wait_s(now)
        if wait > 0:
            if isinstance(step, Restart):
                message = f"{step.ready.message}, after a pause of {trials.pause_s:.0f} s"
                self.ledger.show(guest_id, replace(step.ready, message=message))
            self.wake(guest_id, wait)
            return
        if isinstance(step, Restart):
            self.figures.restarts.inc()
        self.jobs.start(guest_id, step.job, desired=goal.desired, work=self._job(guest, goal, step.job))

    def _hold(self, guest: HeldGuest) -> Ready | None:
        """Return how a guest stands that must not be started yet, or None where it may."""
        settings = self.host_orders.settings
        taken = self.copied.hold(guest, settings.network) if settings is not None else None
        return taken or self.gate.hold(guest)

    async def _job(self, guest: HeldGuest, goal: Goal, kind: JobKind) -> None:
        guest_id = guest.order.guest_id
        log = structlog.get_logger(__name__).bind(guest=guest_id, job=kind.value)
        try:
            await self._run(guest, goal, kind)
        except InnkeeperError as error:
            log.warning("job_failed", reason=error.reason, message=error.message)
            failure = Ready(status=False, reason=error.reason, message=error.message)
            self._failed(guest_id, kind, failure, retryable=error.retryable)
        except Exception:
            log.exception("job_broke")
            message = f"the agent could not {kind.value} the guest; its log says why"
            failure = Ready(status=False, reason=GuestReason.DRIVER_FAILED, message=message)
            self._failed(guest_id, kind, failure, retryable=True)
        else:
            log.info("job_done")
            if kind in _STARTS:
                self.trials.setdefault(guest_id, Trials()).started(self.clock.monotonic())
            elif kind is JobKind.DESTROY:
                self.trials.pop(guest_id, None)
                self.operating.book.forget(guest_id)
        finally:
            # Also where it was or is cancelled: the next look must see what it did.
            await to_its_end(self.inventory.refresh())

    def _failed(self, guest_id: str, kind: JobKind, failure: Ready, *, retryable: bool) -> None:
        self.figures.job_failures.labels(kind.value, failure.reason).inc()
        self.trials.setdefault(guest_id, Trials()).failed(self.clock.monotonic(), retryable=retryable)
        self.ledger.show(guest_id, failure)

    async def _run(self, guest: HeldGuest, goal: Goal, kind: JobKind) -> None:
        match kind:
            case JobKind.BUILD:
                async with self.build_slots.taken(guest.start_rank):
                    await self.work.build(self._newest(guest), self._wanted)
            case JobKind.START:
                async with self.start_slots.taken(guest.start_rank):
                    await self.work.start(self._newest(guest), self._wanted)
            case JobKind.RESUME:
                await self.work.resume(guest)
            case JobKind.STOP:
                await self.work.stop(guest, goal.off)
            case JobKind.DESTROY:
                await self.work.destroy(guest)
            case JobKind.FORGET | JobKind.OPERATE:
                raise InnkeeperError(f"no step of the plan asks for the job {kind.value}")

    def _newest(self, guest: HeldGuest) -> HeldGuest:
        """Return the guest as it is held now: its order may have changed while it waited for a slot."""
        return self.ledger.get(guest.order.guest_id) or guest

    def network_wanted(self) -> Wanted | None:
        """Return what the host's network is made from.

        None while nothing was ordered of the host, and where it stays as it is since nobody knows yet which guests live:
        those of a copied store, or any where this agent found none in its store.
        """
        settings, guests = self.host_orders.settings, self.ledger.promised()
        is_blind = not (self.inventory.known.is_set() or self.ledger.held_guests_at_start)
        if settings is None or is_blind or any(self.copied.is_unsure(each) for each in guests):
            return None
        return Wanted(settings.network, tuple(self.copied.on_network(settings.network)))

    def _wanted(self) -> Wanted:
        found = self.network_wanted()
        if found is None:
            raise InnkeeperError("the host was not told its network yet", reason=GuestReason.BRIDGE_MISSING)
        return found

    def _say_invalid(self, guest_id: str, verdict: Verdict, error: OrderInvalidError) -> None:
        ready = Ready(status=False, reason=error.reason, message=error.message)
        self.report.say(guest_id, replace(verdict, outcome=OrderOutcome.INVALID, ready=ready))
        structlog.get_logger(__name__).warning(
            "order_invalid", assignment=guest_id[:253], message=error.message
        )


def _carried_over(order: Order, held: HeldGuest | None) -> tuple[Life, Ready]:
    """Return what of a guest's standing outlives a new order."""
    if held is None:
        return Life.NEW, Ready(status=False, reason=_ON_THE_WAY[order.desired])
    if order.desired == Desired.DESTROYED:
        return held.record.life, Ready(status=False, reason=GuestReason.DELETING)
    life, ready = held.record.life, held.shown
    if order.desired != held.order.desired:
        ready = Ready(status=False, reason=_ON_THE_WAY[order.desired])
        if life in {Life.UP, Life.PAUSED, Life.RESTING}:
            # If its machine is found off from here on, that was by order, and no restart policy is asked.
            life = Life.OFF
    elif life is Life.RESTING and order.spec.restart_policy != held.order.spec.restart_policy:
        life = Life.UP  # the new policy decides anew
    return life, ready
