"""What a person at the host wants of a guest, against what its order allows. It changes the ledger and nothing else.

A stop stands until the person starts the guest or a newer order changes its power. Nobody can start here what an order
wants off, elsewhere or gone.
"""

from dataclasses import dataclass

from innkeeper.agent.goal import stopped_at_host
from innkeeper.agent.ledger import HeldGuest, Ledger
from innkeeper.agent.local.messages import GuestLine
from innkeeper.agent.store.records import Life, LocalPower, LocalWish
from innkeeper.clock import Clock, rfc3339
from innkeeper.domain.reasons import Desired, OrderOutcome
from innkeeper.errors import TerminalError

MAX_BY = 64


class NotPossibleError(TerminalError):
    """It cannot be done with this guest; the message says what can."""

    reason = "NotPossible"


_NOT_STARTED = {
    Desired.STOPPED: "its order says Stopped: set spec.power of the Guest to Running",
    Desired.SUPERSEDED: "it lives on another host by a newer binding",
    Desired.DESTROYED: "it is being destroyed by order",
}


@dataclass(frozen=True)
class Wishes:
    """The wishes of one host."""

    ledger: Ledger
    store_id: str
    clock: Clock

    def find(self, name: str) -> HeldGuest:
        """Return the guest of an ID, or of a NAMESPACE/NAME that only one has.

        Raises:
            NotPossibleError: there is none, or more than one.
        """
        found = self.ledger.get(name)
        if found is not None:
            return found
        same = [each for each in self.ledger.all() if f"{each.order.namespace}/{each.order.name}" == name]
        if len(same) == 1:
            return same[0]
        if same:
            ids = ", ".join(each.order.guest_id for each in same)
            raise NotPossibleError(f"more than one guest here is called {name}: name one by its ID: {ids}")
        raise NotPossibleError(
            f"this host holds no guest {name[:130]!r}: give a Guest ID or NAMESPACE/NAME, as `list` shows them"
        )

    def accepted(self, name: str) -> HeldGuest:
        """Return the guest of an ID or a name, as `find` does, where this host took it.

        Raises:
            NotPossibleError: there is none, more than one, or the host refused it.
        """
        guest = self.find(name)
        if guest.record.outcome != OrderOutcome.ACCEPTED:
            raise NotPossibleError("this host refused the guest, and holds nothing of it")
        return guest

    async def stop(self, name: str, *, by: str) -> HeldGuest:
        """Want a guest off until somebody here starts it, or an order changes its power."""
        guest = self.accepted(name)
        if guest.order.desired != Desired.RUNNING:
            raise NotPossibleError(f"its order says {guest.order.desired} already")
        wish = LocalWish(LocalPower.STOPPED, by[:MAX_BY] or "somebody", rfc3339(self.clock.now()))
        life = Life.OFF if guest.record.life in {Life.UP, Life.PAUSED, Life.RESTING} else guest.record.life
        await self.ledger.wish(guest.order.guest_id, wish, life=life)
        return guest

    async def start(self, name: str, *, by: str) -> HeldGuest:
        """Want a guest on: an earlier stop is over, one that rests starts, and one of a copied store needs no order."""
        guest = self.accepted(name)
        refused = _NOT_STARTED.get(Desired(guest.order.desired))
        if refused is not None:
            raise NotPossibleError(refused)
        is_of_copy = guest.order.store_id != self.store_id
        at = rfc3339(self.clock.now())
        wish = LocalWish(LocalPower.RUNNING, by[:MAX_BY] or "somebody", at) if is_of_copy else None
        life = Life.OFF if guest.record.life is Life.RESTING else guest.record.life
        await self.ledger.wish(guest.order.guest_id, wish, life=life)
        return guest

    def line(self, guest: HeldGuest, *, machine: str | None) -> GuestLine:
        """Return what is told of a guest."""
        order, shown, wish = guest.order, guest.shown, guest.record.wish
        if machine is None and wish is not None and wish.power == LocalPower.STOPPED:
            shown = stopped_at_host(wish)
        return GuestLine(
            guest_id=order.guest_id,
            namespace=order.namespace,
            name=order.name,
            outcome=guest.record.outcome,
            desired=order.desired,
            machine=machine,
            ready=shown.status,
            reason=shown.reason,
            message=shown.message,
            epoch=order.epoch,
            serial=order.serial,
        )
