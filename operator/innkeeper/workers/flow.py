"""The flow of all guests: a queue of keys, workers that lead one guest at a time, and the statuses that tell of it.

It never polls: a guest is looked at when it, its order, or something that it waits for changes. What is not watched
(a Secret) and what failed is looked at again after a while.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.projection import Situation, conditions
from innkeeper.domain.names import urn
from innkeeper.domain.orders import Signer
from innkeeper.domain.reasons import ConditionType
from innkeeper.domain.scheduling.request import Request
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.conditions import documents, find
from innkeeper.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)
from innkeeper.kube.informer import Key
from innkeeper.kube.queue import FIRST_DELAY_S, LatestQueue
from innkeeper.kube.resources import GUESTS
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.state.backlog import Rank, rank_of
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.meta import Condition
from innkeeper.workers.assigner import AssignerWorker
from innkeeper.workers.deletion import DeletionWorker
from innkeeper.workers.guest import GuestWorker
from innkeeper.workers.held import HeldByHosts
from innkeeper.workers.image import ImageWorker
from innkeeper.workers.looking_again import LookingAgain
from innkeeper.workers.network import NetworkWorker
from innkeeper.workers.retelling import Retelling
from innkeeper.workers.reviver import Reviver
from innkeeper.workers.scheduler import SchedulerWorker
from innkeeper.workers.userdata import UserDataWorker

log = structlog.get_logger()

Item = tuple[str, str, str]

WORKERS = 16
STATUS_DELAY_S = 2.0
# Of back-off: who fails for the sixth time in a row keeps those behind it no longer.
_KEPT_FOR_S = 4.0
_FIRST: Rank = (-(1 << 31), "")


class GuestFlow:
    """Leads every guest from its manifest to its host, and out again.

    The subset must be complete before this is made: a decision on half of the hosts would be wrong.
    """

    def __init__(
        self,
        client: Client,
        subset: Subset,
        *,
        clock: Clock,
        signer: Signer,
        held: HeldByHosts,
        images_url: str,
        status_delay_s: float = STATUS_DELAY_S,
        workers: int = WORKERS,
    ) -> None:
        self._workers = workers
        self._subset = subset
        self._clock = clock
        self._blocked: dict[Key, Blocked] = {}
        self.queue: LatestQueue[Item] = LatestQueue(clock, rank=self._rank)
        self._room = asyncio.Event()
        self._observe_bind: Callable[[float], None] = lambda seconds: None  # noqa: ARG005 - a default that does nothing
        images = ImageWorker(subset, images_url)
        self.network = NetworkWorker(client, subset, clock)
        self._assigner = AssignerWorker(
            client,
            subset,
            signer=signer,
            images=images,
            network=self.network,
            user_data=UserDataWorker(client),
            orders=held.orders,
        )
        self._deletion = DeletionWorker(
            client, subset, assigner=self._assigner, network=self.network, held=held
        )
        self.scheduler = SchedulerWorker(subset, clock)
        self._worker = GuestWorker(
            client,
            subset,
            images=images,
            scheduler=self.scheduler,
            network=self.network,
            assigner=self._assigner,
            deletion=self._deletion,
            reviver=Reviver(client, subset, held=held),
        )
        self._statuses = StatusWriter(
            client,
            GUESTS,
            clock=clock,
            render=self.render,
            read=subset.guests.get,
            written=subset.assume,
            delay_s=status_delay_s,
        )
        self._statuses.give_way(lambda: self.depth > 0)
        self._retelling = Retelling(
            subset, self._blocked, clock=clock, tell=self._statuses.touch, look=self._on_guest
        )
        subset.on_guest = self._on_guest
        subset.on_unowned_assignment = self._on_unowned_assignment
        subset.on_room = self._room.set
        self._again = LookingAgain(
            clock=clock, busy=lambda: self.queue.waiting >= workers, look=self._on_guest_id
        )
        subset.on_pool = lambda name: self._again.add(sorted(subset.claims.guests_of_pool(name)))
        self._take_stock()

    def _take_stock(self) -> None:
        """Look at everything once: what happened before this process is not told again."""
        for key in self._subset.guests:
            self._on_guest(key)
        for guest_id, orders in self._subset.assignments.items():
            if guest_id not in self._subset.guest_keys:
                for host in orders:
                    self._on_unowned_assignment(host, guest_id)

    def observed_by(self, observe: Callable[[float], None]) -> None:
        """Tell somebody of each guest that got a host and an order: how many seconds that took."""
        self._observe_bind = observe

    @property
    def depth(self) -> int:
        """How many guests wait for a worker."""
        return len(self.queue)

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._statuses.run())
            group.create_task(self._wake_waiting())
            group.create_task(self._again.run())
            group.create_task(self._retelling.run())
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _wake_waiting(self) -> None:
        """Look at guests that wait for room when something changed that could help them."""
        while True:
            await self._room.wait()
            self._room.clear()
            for keys in self._subset.backlog.helped():
                for key in keys:
                    self._on_guest(key)
                await asyncio.sleep(0)  # there may be many lines; other work goes on between them

    def _rank(self, item: Item) -> Rank:
        """A guest's place in the queue: by priority, then by age; what has no Guest any more goes first."""
        kind, *names = item
        guest = self._subset.guests.get((names[0], names[1])) if kind == "guest" else None
        return rank_of(guest) if guest is not None else _FIRST

    def _on_guest(self, key: Key) -> None:
        if key in self._subset.guests:
            self.queue.add(("guest", *key))
        else:
            self._blocked.pop(key, None)
            self.queue.forget(("guest", *key))

    def _on_guest_id(self, guest_id: str) -> None:
        key = self._subset.guest_keys.get(guest_id)
        if key is not None:
            self._on_guest(key)

    def _on_unowned_assignment(self, host: str, guest_id: str) -> None:
        self.queue.add(("assignment", host, guest_id))

    async def _work(self) -> None:
        while True:
            # A guest that cannot go on is looked at without a wait: others have their turn.
            await asyncio.sleep(0)
            item = await self.queue.take()
            try:
                again_after_s = await self._advance(item)
            except (ConflictError, NotFoundError) as error:
                # Somebody was faster; the newer version is on its way to us.
                self._failed(item, error)
            except ThrottledError as error:
                self._failed(item, error, at_least_s=error.retry_after_s)
            except InnkeeperError as error:
                delay = self._failed(item, error)
                log.warning(
                    "guest_step_failed", item=item, reason=error.reason, message=error.message, again_s=delay
                )
            except Exception as error:
                delay = self._failed(item, error, at_least_s=1)
                log.exception("guest_step_broken", item=item, again_s=delay)
            else:
                self.queue.done(item)
                if again_after_s is not None:
                    self.queue.add(item, after_s=again_after_s)

    def _failed(self, item: Item, error: Exception, *, at_least_s: float = 0) -> float:
        """Have an item tried again by itself, after so many seconds."""
        kind, *names = item
        delay = self.queue.failed(item, at_least_s=at_least_s)
        if kind == "guest":
            until = self._clock.monotonic() + delay if _passes(error, again_s=delay) else None
            self._keep_place((names[0], names[1]), until=until)
        return delay

    def _keep_place(self, key: Key, *, until: float | None) -> None:
        """Have those behind a guest in its line wait until it was tried again; None: they have their turn at once.

        So they have in the lines of addresses: it stands there again once it was tried and finds none.
        """
        if until is None:
            self._subset.stop_waiting(key)
        guest = self._subset.guests.get(key)
        line = self._line_of(guest) if guest is not None and until is not None else None
        if guest is None or line is None or until is None:
            self._subset.leave_backlog(key)
        elif (follower := self._subset.backlog.rest(key, line, rank_of(guest), until=until)) is not None:
            self._on_guest(follower)

    def _line_of(self, guest: Guest) -> Request | None:
        try:
            return self.scheduler.line_of(guest)
        except ValueError:
            # It is stored as no schema of today would have it: its own step says so.
            return None

    def _waits_behind_s(self, key: Key, guest: Guest) -> float | None:
        """Return for how long a guest leaves the room to one before it that is tried again; None: not at all."""
        until = self._subset.backlog.behind_until(key) if guest.metadata.deletion_timestamp is None else None
        return None if until is None else max(FIRST_DELAY_S, until - self._clock.monotonic())

    async def _advance(self, item: Item) -> float | None:
        """Lead one guest on; return after how many seconds it wants to be looked at in any case."""
        kind, *names = item
        if kind == "assignment":
            await self._deletion.finish_unowned(names[0], names[1])
            return None
        key = (names[0], names[1])
        guest = self._subset.guests.get(key)
        if guest is None:
            return None
        waits_s = self._waits_behind_s(key, guest)
        if waits_s is not None:
            return waits_s
        began = self._clock.monotonic()
        blocked = await self._worker.advance(guest)
        if guest.status.host is None and blocked is None and guest.metadata.deletion_timestamp is None:
            self._observe_bind(self._clock.monotonic() - began)
        self._note(key, blocked)
        return blocked.again_after_s if blocked else None

    def _note(self, key: Key, blocked: Blocked | None) -> None:
        if blocked is None:
            self._blocked.pop(key, None)
            self._subset.stop_waiting(key)
        else:
            self._blocked[key] = blocked
        current = self._subset.guests.get(key)
        self._note_room(key, blocked if current is not None else None)
        if current is not None and blocked is not None:
            self._subset.wait_for(key, blocked.causes, rank=rank_of(current), needs=blocked.needs)
        wanted = self._wanted(key, current) if current is not None else None
        if current is not None and wanted is not None:
            self._statuses.touch(key, urgent=self._is_urgent(current, wanted))

    def _note_room(self, key: Key, blocked: Blocked | None) -> None:
        """Have a guest stand in the line of its request, or in none."""
        request = blocked.waits_for_room if blocked is not None else None
        line = blocked.keeps_line if blocked is not None else None
        if line is not None and self._subset.backlog.stands(key, line):
            request = line
            self._retelling.have_told_behind(key, line)
        if request is None:
            self._subset.leave_backlog(key)
        else:
            self._subset.wait_for_room(key, request, rank_of(self._subset.guests[key]))

    def _situation(self, key: Key, guest: Guest) -> Situation:
        host = guest.status.host
        return Situation(
            guest=guest,
            assignment=self._subset.assignment(guest_id_of(guest), host) if host else None,
            blocked=self._blocked.get(key),
            host_silent=self._subset.guests_host_is_silent(guest),
            host_lost=self._subset.guest_is_lost(guest),
            host_ready=self._subset.host_ready(host) if host else None,
        )

    def _wanted(self, key: Key, guest: Guest) -> list[Condition] | None:
        """Return the conditions that a Guest should have, or None where it has them."""
        wanted = conditions(self._situation(key, guest))
        if guest.status.observed_generation != guest.metadata.generation:
            return wanted
        same = [_told(each) for each in wanted] == [_told(each) for each in guest.status.conditions]
        return None if same else wanted

    def _is_urgent(self, guest: Guest, wanted: list[Condition]) -> bool:
        """A change of Ready, and every failure, is told at once; steps on the way are not."""
        key = (guest.metadata.namespace, guest.metadata.name)
        new, old = find(wanted, ConditionType.READY), find(guest.status.conditions, ConditionType.READY)
        was_ready = old is not None and old.status == "True"
        is_ready = new is not None and new.status == "True"
        stalled = find(wanted, ConditionType.STALLED)
        if _told(stalled) != _told(find(guest.status.conditions, ConditionType.STALLED)):
            return True
        if is_ready or was_ready:
            return _told(new) != _told(old)
        return key in self._blocked and (old is None or new is None or old.reason != new.reason)

    def render(self, key: Key) -> Mapping[str, Any] | None:
        """Return the part of a Guest's status that tells of its way, or None where it stands already."""
        guest = self._subset.guests.get(key)
        wanted = self._wanted(key, guest) if guest is not None else None
        if guest is None or wanted is None:
            return None
        guest_id = guest_id_of(guest)
        return {
            "observedGeneration": guest.metadata.generation,
            "id": guest_id,
            "urn": urn(guest_id),
            "conditions": documents(guest.status.conditions, wanted, now=self._clock.now()),
        }


def _passes(error: Exception, *, again_s: float) -> bool:
    """Tell whether a failure says nothing of the guest, so that who is behind it in line would fail as well.

    One that lasts may be the guest's own all the same: a hook that is away may be asked about few guests.
    """
    if isinstance(error, ThrottledError):
        return True
    return isinstance(error, (ConflictError, AlreadyExistsError, UnavailableError)) and again_s <= _KEPT_FOR_S


def _told(condition: Condition | None) -> tuple[object, ...]:
    if condition is None:
        return ()
    return (
        condition.type,
        condition.status,
        condition.reason,
        condition.message,
        condition.observed_generation,
    )
