"""What an API server lacks of what hosts hold. What exists wins: it is compared and told of, never changed.

The exceptions are Guests of an older copy of the store: one that was bound in an earlier epoch than the one that its host
shows, since epochs are only given by the operator; and one that was changed since, which its host's order tells. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from innkeeper.domain import names
from innkeeper.domain.addressing.pool import Pool, number_of
from innkeeper.domain.lifecycle.revival import HeldOrder, Places
from innkeeper.domain.orders import Order, OrderAddress, Rank
from innkeeper.domain.rebuild.catching_up import CatchingUp, catching_up, may_lag
from innkeeper.domain.rebuild.choice import Choice
from innkeeper.domain.rebuild.findings import Finding, FindingKind
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest


@dataclass(frozen=True, kw_only=True)
class Present:
    """What is there."""

    clusters: frozenset[str] = frozenset()
    flavors: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    hosts: Mapping[str, str] = field(default_factory=dict)  # name -> its Cluster
    lost: frozenset[str] = frozenset()  # Hosts that a person said are lost
    guests: Mapping[str, Guest] = field(default_factory=dict)  # by Guest ID
    orders: frozenset[tuple[str, str]] = frozenset()  # (host, Guest ID) of Assignments
    # Name of an IPAddress -> its owner's Guest ID and interface.
    claims: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    held: frozenset[tuple[str, str, str]] = frozenset()  # (Guest ID, interface, address) of the same
    pools: Mapping[str, Pool] = field(default_factory=dict)  # by name
    # Of those that `lagging` names, by Guest ID, where there are any.
    standing: Mapping[str, Assignment] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A Guest whose guest was destroyed by the order of a rank, or is about to be: until that is over, it may run."""

    guest: Guest
    rank: Rank
    is_over: bool
    forgotten: str = ""  # by whom and when it was taken off its host instead

    @property
    def kind(self) -> str:
        """As what it is counted."""
        return "Forgotten" if self.forgotten else "Destroyed"


@dataclass(kw_only=True)
class Lack:
    """What is to be made; and which Guests that are there stand for guests that were destroyed."""

    claims: list[HeldOrder] = field(
        default_factory=list
    )  # orders whose guest does not hold all their addresses
    namespaces: list[str] = field(default_factory=list)  # of accounts
    host_namespaces: list[str] = field(default_factory=list)  # by host
    clusters: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    flavors: list[str] = field(default_factory=list)
    guests: list[HeldOrder] = field(default_factory=list)
    superseded: list[HeldOrder] = field(default_factory=list)  # whose Assignments are missing
    ending: list[HeldOrder] = field(default_factory=list)  # whose Assignments have to carry them
    ended: list[Ended] = field(default_factory=list)
    catching_up: list[CatchingUp] = field(default_factory=list)  # Guests that changed since, by their hosts


def lagging(choice: Choice, present: Present) -> list[Guest]:
    """Return the Guests that may be older than their hosts' orders: their Assignments tell."""
    found = ((each.order, present.guests.get(each.order.guest_id)) for each in choice.guests)
    return [guest for order, guest in found if guest is not None and may_lag(guest, order)]


def lack(choice: Choice, present: Present) -> Lack:
    """Return what is missing."""
    held = (*choice.guests, *choice.superseded, *choice.ending)
    needed = {*choice.hosts, *(each.order.host for each in held)}
    places = {names.host_namespace(each): each for each in sorted(needed - present.lost)}
    return Lack(
        claims=[each for each in (*choice.guests, *choice.ending) if _lacks_claim(each.order, present)],
        namespaces=sorted(choice.accounts - present.namespaces),
        host_namespaces=[host for place, host in places.items() if place not in present.namespaces],
        clusters=sorted(choice.clusters.keys() - present.clusters),
        hosts=sorted(choice.hosts.keys() - present.hosts.keys()),
        flavors=sorted(choice.flavors.keys() - present.flavors),
        guests=[each for each in choice.guests if not _is_whole(each.order, present)],
        superseded=[each for each in choice.superseded if _lacks_order(each.order, present)],
        ending=[each for each in choice.ending if each.order.host not in present.lost],
        ended=list(_ended(choice, present.guests)),
        catching_up=list(_catching_up(choice, present)),
    )


def unknown_scheduling(choice: Choice, hosts: Iterable[str]) -> Iterator[Finding]:
    """Tell which of the Hosts that are to be made take no new guests, since it is not known whether they may."""
    for host in hosts:
        if choice.hosts[host].scheduling is None:
            message = (
                f"host {host} does not tell the taints, labels and unschedulable of its Host, as agents of before do "
                "not: the Host is made with unschedulable: true. Set what it had, and let it take guests"
            )
            yield Finding(kind=FindingKind.SCHEDULING_UNKNOWN, host=host, subject=host, message=message)


def _is_whole(order: Order, present: Present) -> bool:
    """Tell whether every object of a guest is there; what is on its way out is left to go."""
    guest = present.guests.get(order.guest_id)
    if guest is None or guest.status.epoch < order.epoch:
        return False
    if guest.metadata.deletion_timestamp is not None:
        return True
    is_held = all(_is_claimed(order, each, present) for each in order.addresses if each.space)
    return guest.status.host == order.host and is_held and (order.host, order.guest_id) in present.orders


def _lacks_claim(order: Order, present: Present) -> bool:
    """Tell whether a guest does not hold an address of its order; one of an older version does not name the space."""
    return any(
        not _is_claimed(order, each, present)
        if each.space
        else (order.guest_id, each.interface, each.address) not in present.held
        for each in order.addresses
    )


def _is_claimed(order: Order, used: OrderAddress, present: Present) -> bool:
    name = names.address_name(used.space, used.address)
    return present.claims.get(name) == (order.guest_id, used.interface)


def _lacks_order(order: Order, present: Present) -> bool:
    """Tell whether nothing would have a former host give up what it keeps, once the Guest is deleted."""
    return (order.host, order.guest_id) not in present.orders and order.host not in present.lost


def _catching_up(choice: Choice, present: Present) -> Iterator[CatchingUp]:
    for held in choice.guests:
        guest_id = held.order.guest_id
        guest = present.guests.get(guest_id)
        found = catching_up(guest, held, present.standing.get(guest_id)) if guest is not None else None
        if found is not None:
            yield found


def _ended(choice: Choice, guests: Mapping[str, Guest]) -> Iterator[Ended]:
    alive = {each.order.guest_id for each in choice.guests}
    ending = {each.order.guest_id for each in choice.ending}
    for guest_id, guest in guests.items():
        rank = choice.ends.of(guest_id, guest.status.host, epoch=guest.status.epoch)
        marked = names.DESTROYED_ANNOTATION in guest.metadata.annotations
        if rank is not None and guest_id not in alive and not marked:
            forgotten = choice.ends.forgetter(guest_id, guest.status.host, rank=rank)
            yield Ended(guest=guest, rank=rank, is_over=guest_id not in ending, forgotten=forgotten)


def places_of(order: Order, pools: Mapping[str, Pool]) -> Places:
    """Return address space and pool of addresses whose order, of an older version, does not say: where one has it.

    An address of one space is one interface's only: where two would be of it, one of them is of a pool that is not there.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for each in order.addresses:
        number = number_of(each.address)
        having = [(pool.space, name) for name, pool in pools.items() if pool.contains(number)]
        if not each.pool and len(having) == 1:
            found[each.interface, each.address] = having[0]
    uses = Counter((each.space, each.address) for each in order.addresses)
    uses.update((space, address) for (_, address), (space, _) in found.items())
    return {key: place for key, place in found.items() if uses[place[0], key[1]] == 1}
