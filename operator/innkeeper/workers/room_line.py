"""By which request a guest waits for room: guests of one line find the same, whatever their pools have left by then.

Reads the subset only. Pools without a free address count here: which line a guest stands in does not change with a
pool's last address.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from innkeeper.domain.addressing.wishes import Wish, wishes
from innkeeper.domain.scheduling.request import Request
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPAddress
from innkeeper.workers.reach import Reach
from innkeeper.workers.shortage import owner_of


class RoomLine:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset) -> None:
        self._subset = subset
        self._reach = Reach(subset)

    def of(self, guest: Guest, asked: Request, *, claims: Iterable[IPAddress]) -> Request:
        """Return the request of a guest's line; `asked` is what it asked of hosts by the ways that it has now.

        `claims` are those that set it apart from guests that have none. A hard spread counts the places where the guest
        may be now, so its line is that of the ways that it has.
        """
        clusters = asked.clusters if asked.spread else self._reach.served(guest)
        standing = replace(asked, pools=self._asked_of_pools(guest, claims), clusters=clusters)
        return self._subset.fleet.crowd.in_common(standing)

    def keeps_without_address(self, guest: Guest) -> bool:
        """Tell whether who stands behind a guest in its line finds no address either, where this one finds none."""
        return all(each.address is None for each in wishes(guest))

    def _candidates(self, wish: Wish) -> Sequence[str]:
        if wish.selector is not None:
            return self._subset.served.labelled(wish.selector).names
        return () if wish.pool is None else (wish.pool,)

    def _asked_of_pools(self, guest: Guest, claims: Iterable[IPAddress]) -> tuple[Hashable, ...]:
        """Return what guests of one line have in common; a guest for which addresses are reserved stands alone."""
        held = {each.spec.owner.interface: each.spec.pool for each in claims if each.spec.owner is not None}
        asked = [
            # Who asks a pool by name for a certain address leaves the line where that is taken; it may be free where a
            # guest that takes any leaves the last one to another.
            (each.pool, each.selector, _certain(each), held.get(each.interface))
            for each in wishes(guest)
        ]
        candidates = {name for wish in wishes(guest) for name in self._candidates(wish)}
        known = (self._subset.pool_catalog.pool(each) for each in candidates)
        is_reserved = any(each.reserved_for(owner_of(guest)) for each in known if each is not None)
        return (*asked, guest_id_of(guest)) if is_reserved else tuple(asked)


def _certain(wish: Wish) -> str | bool | None:
    """Return which address is asked for, or of a pool that is named, whether it is a certain one."""
    return wish.address if wish.pool is None else wish.address is not None
