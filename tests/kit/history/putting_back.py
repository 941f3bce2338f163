"""Histories in which the API server's store is put back to an older copy, while hosts go on.

Operators are ended then, hosts are heard as the gate of an operator has it, and another operator leads. No machine burns,
no Host is deleted and nobody uses force here: what no host can tell of is lost with the store.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store import reading
from innkeeper.domain import names
from innkeeper.domain.host_store import Events, GuestEntry, Snapshot
from innkeeper.domain.orders import Order, peek
from innkeeper.domain.rebuild.findings import Finding, FindingKind
from innkeeper.errors import InnkeeperError
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS, IP_ADDRESSES
from innkeeper.workers.rebuild.hearing import Hearing
from innkeeper.workers.rebuild.rebuild import Rebuild
from tests.kit.fake_api_kinds import Document
from tests.kit.history import at_host, grammar
from tests.kit.history.parts import KEYS, HostPart
from tests.kit.history.witness import guest_id_of
from tests.kit.history.world import World
from tests.kit.objects import NAMESPACE
from tests.kit.virtual_loop import SteppedClock

AGAIN_S = 10.0
TRIES = 60
LEFT_OUT = frozenset(
    {
        grammar.burn,
        grammar.delete_host,
        grammar.register_host,
        grammar.force_delete_guest,
        at_host.lose_store,  # what both stores knew of is lost
        at_host.restore_store,
    }
)


class StoreOf:
    """What a host's agent would tell of its store."""

    def __init__(self, host: HostPart) -> None:
        self._host = host

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Return a page of it."""
        with self._opened() as connection:
            return reading.snapshot(connection, after=after)

    async def events(self, *, store_id: str, since: int) -> Events:
        """Return what changed since a cursor."""
        with self._opened() as connection:
            return reading.events(connection, store_id=store_id, since=since)

    def _opened(self) -> sqlite3.Connection:
        path = StatePaths(self._host.directory).database
        if not self._host.runs or not path.exists():
            raise HostUnreadError(f"the agent of {self._host.host} does not run")
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


class PutBackWorld(World):
    """A world whose store may be put back."""

    again = " --put-back"

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type] # as they came
        self._copy: tuple[float, object, frozenset[str]] | None = None
        self._named = 0

    @property
    def events(self) -> Sequence[tuple[float, Callable[[World], Awaitable[str | None]]]]:
        """What happens here."""
        kept = [each for each in grammar.EVENTS if each[1] not in LEFT_OUT]
        return [*kept, (5.0, _back_up), (5.0, _put_back)]

    def new_guest_name(self) -> str:
        """Return a name; none comes again, so that a copy holds no other guest of that name."""
        self._named += 1
        return f"web-{self._named}" if len(self.guests()) < 20 else ""

    def back_up(self) -> None:
        """Take a copy."""
        ordered = {each["metadata"]["name"]: _order(each) for each in self.api.objects(ASSIGNMENTS)}
        unordered = frozenset(
            guest_id_of(each)
            for each in self.api.objects(GUESTS)
            if (order := ordered.get(guest_id_of(each))) is None or order.spec.power != each["spec"]["power"]
        )
        self._copy = (self.seconds, self.api.store.backup(), unordered)

    async def put_back(self) -> str | None:
        """Be as at the last copy; return how old it was."""
        if self._copy is None:
            return None
        taken, copy, unordered = self._copy
        self._copy = None
        for operator in self.operators:
            await operator.kill()
        self.operators.clear()
        for host in self.hosts.values():
            if not host.runs:
                host.start()
        age = self.seconds - taken
        await self.api.down()
        self.api.store.put_back(copy)  # type: ignore[arg-type] # what `backup` gave
        self.witness.put_back(self.api.objects(GUESTS))
        await self.api.up()
        await self._heal()
        for complaint in self._unhealed(unordered):
            self.witness.complain(complaint)
        self.start_operator()
        return f"the store is put back by {age:.2f} s, and the hosts were heard"

    async def _heal(self) -> None:
        """Hear the hosts until all is there that they hold, as the gate of an operator does."""
        client, clock = self.api.client("healer"), SteppedClock()
        hearing = Hearing(lambda host: StoreOf(self.hosts[host]), keys=KEYS, clock=clock)
        for _ in range(TRIES):
            try:
                outcome = await Rebuild(client, hearing, clock=clock).run(self.hosts)
            except InnkeeperError as error:
                self.say(f"healing goes on: {error.message}")
            else:
                for each in outcome.findings:
                    self.say(f"finding {each}")
                # Who reads that one could not be made anew, as in a storm of conflicts, runs it again.
                if outcome.is_complete and not _not_revived(outcome.findings):
                    return
            await asyncio.sleep(AGAIN_S)  # of the virtual loop: no real time passes
        self.witness.complain("the store could not be healed")

    def _unhealed(self, unordered: frozenset[str]) -> Iterator[str]:
        """Yield what is not as hosts hold it; a change that the copy had not ordered yet counts as one of later.

        One that it had ordered, and that the host did not take yet, is still to come.
        """
        guests = {guest_id_of(each): each for each in self.api.objects(GUESTS)}
        owners = {
            (each["spec"]["address"], each["spec"]["owner"]["interface"]): each["spec"]["owner"]["id"]
            for each in self.api.objects(IP_ADDRESSES)
            if each["spec"].get("owner")
        }
        given = {each["metadata"]["name"]: _order(each) for each in self.api.objects(ASSIGNMENTS)}
        for order in self._held():
            guest_id, guest = order.guest_id, guests.get(order.guest_id)
            if guest is None:
                yield f"{guest_id} is held by {order.host}, and its Guest is not back"
                continue
            if "deletionTimestamp" in guest["metadata"]:
                continue
            newer = given.get(guest_id)
            is_taken = newer is None or (newer.epoch, newer.serial) <= (order.epoch, order.serial)
            if is_taken and guest["spec"]["power"] != order.desired and guest_id not in unordered:
                yield f"{guest_id} is {order.desired} by its order, and {guest['spec']['power']} by its Guest"
            for each in order.addresses:
                if owners.get((each.address, each.interface)) != guest_id:
                    yield f"{each.address} is used by {guest_id}, which does not hold it"

    def _held(self) -> Iterator[Order]:
        """Yield the orders by which guests are to be on hosts."""
        for host in self.hosts.values():
            with sqlite3.connect(
                f"file:{StatePaths(host.directory).database}?mode=ro", uri=True
            ) as connection:
                for entry in reading.snapshot(connection, limit=10_000).guests:
                    order = _accepted(entry)
                    if order is not None and order.desired in ("Running", "Stopped"):
                        yield order

    def settle(self) -> None:
        """Have people delete what says that it was destroyed since the copy."""
        for each in self.guests():
            if names.DESTROYED_ANNOTATION in each["metadata"].get("annotations", {}):
                self.say(f"delete {each['metadata']['name']}, which was destroyed since")
                self.api.delete(GUESTS, each["metadata"]["name"], namespace=NAMESPACE)


async def _back_up(world: World) -> str | None:
    """Somebody takes a copy of the API server's store."""
    assert isinstance(world, PutBackWorld)
    world.back_up()
    return "take a copy of the store"


async def _put_back(world: World) -> str | None:
    """Somebody puts the store back to the last copy."""
    assert isinstance(world, PutBackWorld)
    return await world.put_back()


def _not_revived(findings: Iterable[Finding]) -> bool:
    return any(each.kind is FindingKind.NOT_REVIVED for each in findings)


def _order(assignment: Document) -> Order | None:
    return peek(assignment["spec"]["order"])


def _accepted(entry: GuestEntry) -> Order | None:
    return peek(entry.order) if entry.outcome == "Accepted" else None
