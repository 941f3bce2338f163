"""Hosts' stores in memory, to be read as the operator reads agents: in pages, silent, or lying, as a test wishes."""

from typing import Any

import msgspec

from innkeeper.domain.host_store import Events, GuestEntry, Snapshot, TombstoneEntry
from innkeeper.domain.orders import Order, OrderAddress, Signer
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.views.host import HostAgentSpec, HostScheduling, Network
from tests.kit import agent_orders
from tests.kit.obedient_host import ObedientHost

SETTINGS = HostAgentSpec(cluster="lab", network=Network(bridge="br0"), scheduling=HostScheduling())


class HostStore:
    """One host's store, and its agent that answers; `failures` counts down the answers that do not come."""

    def __init__(
        self, host: str, *, signer: Signer = agent_orders.SIGNER, settings: HostAgentSpec | None = SETTINGS
    ) -> None:
        self.host = host
        self.settings = settings
        self.guests: dict[str, GuestEntry] = {}
        self.tombstones: dict[str, TombstoneEntry] = {}
        self.failures = 0
        self.page = 500
        self.asked = 0
        self._signer = signer

    def order(self, number: int = 1, **changes: Any) -> Order:
        """Return an order of this host, in the account `guests`, with an address of the pool `lab`."""
        address = agent_orders.address(10 + number, guest=agent_orders.guest_id(number))
        placed = {"addresses": [_of_pool(address)], "host": self.host}
        return agent_orders.order(number, **{**placed, **changes})

    def hold(
        self, order: Order, *, outcome: str = "Accepted", signer: Signer | None = None, accepted_at: str = ""
    ) -> str:
        """Have the store hold a guest by an order, and return the order as it was signed."""
        text = (signer or self._signer).sign(order)
        self.guests[order.guest_id] = GuestEntry(
            guest_id=order.guest_id,
            order=text,
            outcome=outcome,
            life="Up",
            ready=outcome == "Accepted",
            reason="Running" if outcome == "Accepted" else "InsufficientCapacity",
            accepted_at=accepted_at,
        )
        return text

    def leave(self, order: Order) -> None:
        """Have the store keep the disk of a guest that lives elsewhere, by the rank of the given order."""
        self.hold(msgspec.structs.replace(order, desired="Superseded", image=None))

    def bury(self, order: Order, *, proven: bool = True) -> None:
        """Have the store tell that it destroyed a guest, by the order next to the given one."""
        self.bury_by(_ended(order), proven=proven)

    def forget(self, order: Order, *, by: str) -> None:
        """Have the store tell that a person took a guest off the host, which it held by the given order."""
        self._entomb(order, text=None, forgotten=by)

    def bury_by(self, end: Order, *, proven: bool = True) -> None:
        """Have the store tell that it destroyed a guest by the given order."""
        self._entomb(end, text=self._signer.sign(end) if proven else None)

    def _entomb(self, end: Order, *, text: str | None, forgotten: str = "") -> None:
        self.guests.pop(end.guest_id, None)
        self.tombstones[end.guest_id] = TombstoneEntry(
            guest_id=end.guest_id,
            epoch=end.epoch,
            serial=end.serial,
            destroyed_at="2026-01-01T00:00:00Z",
            order=text,
            forgotten=forgotten,
        )

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Answer a page, as an agent does."""
        self._answer()
        ids = sorted(each for each in (*self.guests, *self.tombstones) if each > (after or ""))
        told = ids[: self.page]
        return Snapshot(
            host=self.host,
            store_id=agent_orders.STORE,
            seq=1,
            settings=self.settings,
            guests=[self.guests[each] for each in told if each in self.guests],
            tombstones=[self.tombstones[each] for each in told if each in self.tombstones],
            next_after=told[-1] if len(ids) > self.page else None,
        )

    async def events(self, *, store_id: str, since: int) -> Events:
        """Answer that nothing changed."""
        self._answer()
        return Events(host=self.host, store_id=store_id, since=since, seq=since)

    def _answer(self) -> None:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise HostUnreadError(f"host {self.host} does not answer")


class ObedientStore:
    """What an obedient host tells of itself."""

    def __init__(self, host: ObedientHost, *, cluster: str) -> None:
        self._host = host
        self._settings = msgspec.structs.replace(SETTINGS, cluster=cluster)

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Tell all of it on one page."""
        assert after is None
        return Snapshot(
            host=self._host.name,
            store_id=self._host.store_id,
            seq=1,
            settings=self._settings,
            guests=[
                GuestEntry(
                    guest_id=each.guest_id,
                    order=each.order,
                    outcome=each.outcome,
                    life=each.life,
                    ready=bool(each.ready.status),
                    reason=each.ready.reason,
                )
                for each in self._host.records.values()
            ],
            tombstones=[
                TombstoneEntry(
                    guest_id=each.guest_id,
                    epoch=each.rank.epoch,
                    serial=each.rank.serial,
                    destroyed_at="2026-01-01T00:00:00Z",
                    order=each.order,
                    forgotten=each.forgotten,
                )
                for each in self._host.tombstones.values()
            ],
        )

    async def events(self, *, store_id: str, since: int) -> Events:
        """Tell that nothing changed."""
        return Events(host=self._host.name, store_id=store_id, since=since, seq=since)


def _of_pool(address: OrderAddress) -> OrderAddress:
    return msgspec.structs.replace(address, space="default", pool="lab")


def _ended(order: Order) -> Order:
    return msgspec.structs.replace(order, desired="Destroyed", image=None, serial=order.serial + 1)
