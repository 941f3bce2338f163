"""Claims every address that a guest is to have, or none: what the guest asks for is chosen before the first call.

Chosen addresses count as taken and towards the limit of the namespace at once, so of guests that are looked at together
each finds what the others left. Whether an address is had is decided by the API server alone.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from innkeeper.clock import Clock, rfc3339
from innkeeper.domain.addressing.claim import claim_document, is_held_by
from innkeeper.domain.addressing.pool import number_of
from innkeeper.domain.addressing.search import count_free, free_addresses
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, NotFoundError
from innkeeper.kube.resources import IP_ADDRESSES
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.network import AddressOwner, IPAddress
from innkeeper.workers.shortage import Wanted, owner_of

_MANY = 64  # addresses that are free: nobody is likely to take all of them between a look and a claim


@dataclass
class _Choice:
    """What one wish asks for next, None where nothing is left to ask for, and what it would ask for then."""

    wanted: Wanted
    address: str | None
    others: Iterator[str]


class Unclaimable(Exception):  # noqa: N818 - an answer to the caller, as StopIteration is
    """One wish found every address taken."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted.name)
        self.wanted = wanted


class Claiming:
    """Makes the claims of one guest at a time."""

    def __init__(self, client: Client, subset: Subset, clock: Clock) -> None:
        self._client = client
        self._subset = subset
        self._clock = clock

    async def claim(self, guest: Guest, wanted: Iterable[Wanted]) -> dict[tuple[str, str], IPAddress]:
        """Claim an address for each wish; return them by interface and pool, of which each has one.

        What was claimed before a failure is found again by the next call.

        Raises:
            Unclaimable: somebody else has what is asked for.
            ApiError: the API server refused, or is away.
        """
        chosen: deque[_Choice] = deque()
        had: dict[tuple[str, str], IPAddress] = {}
        try:
            # Certain addresses first: a wish for any address must not choose one of them.
            for wish in sorted(wanted, key=lambda each: each.fixed is None):
                chosen.append(self._choose(guest, wish))
            if none_left := [each.wanted for each in chosen if each.address is None]:
                raise Unclaimable(none_left[0])
            # Where most likely somebody was faster is asked first: who fails there holds nothing else meanwhile.
            # Two that ask for the same addresses ask in one order, so that one of them gets all.
            if len(chosen) > 1:
                chosen = deque(sorted(chosen, key=lambda each: (self._left(each), each.address or "")))
            while chosen:
                mine = await self._have(guest, chosen[0])
                self._settle(guest, choice := chosen.popleft(), had=mine is not None)
                if mine is None:
                    raise Unclaimable(choice.wanted)
                had[choice.wanted.interface, choice.wanted.name] = mine
        finally:
            for each in chosen:
                self._settle(guest, each, had=False)
        return had

    async def create(
        self, guest: Guest, wanted: Wanted, address: str, *, since: str | None
    ) -> IPAddress | None:
        """Claim one address; None when somebody else holds it. `since` is noted for people, where it is known.

        Raises:
            ApiError: the API server refused, or is away.
        """
        owner = AddressOwner(
            id=guest_id_of(guest),
            namespace=guest.metadata.namespace,
            name=guest.metadata.name,
            interface=wanted.interface,
            since=since,
        )
        body = claim_document(address, pool=wanted.name, space=wanted.pool.space, owner=owner)
        try:
            claim = await self._client.create(IP_ADDRESSES, body)
        except AlreadyExistsError:
            return await self._found(body["metadata"]["name"], owner)
        self._subset.assume(claim)
        return claim

    async def _found(self, name: str, owner: AddressOwner) -> IPAddress | None:
        """Return the claim of that name if it is the owner's."""
        try:
            claim = await self._client.get(IP_ADDRESSES, name)
        except NotFoundError:
            # Its quarantine ended between the two calls; the next one is as good.
            return None
        self._subset.assume(claim)
        return claim if is_held_by(claim, owner.id, interface=owner.interface) else None

    def _choose(self, guest: Guest, wanted: Wanted) -> _Choice:
        others = self._candidates(guest, wanted)
        choice = _Choice(wanted, None, others)
        self._next(choice)
        self._subset.claims.begin(wanted.name, guest.metadata.namespace)
        return choice

    def _left(self, choice: _Choice) -> int:
        """Return how many others would do as well, if not many."""
        if choice.wanted.fixed is not None:
            return 0
        pool = choice.wanted.pool
        return count_free(pool, self._subset.claims.taken(pool), most=_MANY)

    def _candidates(self, guest: Guest, wanted: Wanted) -> Iterator[str]:
        taken = self._subset.claims.taken(wanted.pool)
        if wanted.fixed is not None:
            # Chosen for another guest a moment ago, and perhaps not claimed yet: who claims the rest would wait with it.
            if number_of(wanted.fixed)[1] not in taken:
                yield wanted.fixed
            return
        for number in wanted.pool.reserved_for(owner_of(guest)):
            if number not in taken:
                yield wanted.pool.text(number)
        yield from free_addresses(wanted.pool, taken, guest_id=guest_id_of(guest), interface=wanted.interface)

    def _next(self, choice: _Choice) -> None:
        """Choose the next address. Another worker of this process may have chosen some: they count as taken."""
        choice.address = next(choice.others, None)
        if choice.address is not None:
            self._subset.claims.taken(choice.wanted.pool).add(number_of(choice.address)[1])

    async def _have(self, guest: Guest, choice: _Choice) -> IPAddress | None:
        while choice.address is not None:
            since = rfc3339(self._clock.now())
            mine = await self.create(guest, choice.wanted, choice.address, since=since)
            if mine is not None:
                return mine
            self._subset.claims.recount(choice.wanted.pool, choice.address)
            self._next(choice)
        return None

    def _settle(self, guest: Guest, choice: _Choice, *, had: bool) -> None:
        """Count what is known instead of what was on its way; who looked meanwhile may have seen too little."""
        name, namespace = choice.wanted.name, guest.metadata.namespace
        self._subset.claims.end(name, namespace)
        key = (namespace, guest.metadata.name)
        if choice.address is not None and not had:
            self._subset.claims.recount(choice.wanted.pool, choice.address)
            self._subset.offer(waiting.pool(name), but_not=key)
        self._subset.offer(waiting.limit(name, namespace), but_not=key)
