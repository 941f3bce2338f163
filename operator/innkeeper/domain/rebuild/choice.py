"""Which order of each guest counts when several hosts speak, and what their API server should hold.

Per Guest ID the highest (epoch, serial) wins, of the orders by which a host has the guest: one that says that it lives
elsewhere is told of only, whatever its rank. A guest that its host destroyed in its epoch, or any in a later one, is not
made anew.
What hosts tell of their Cluster and of Flavors is compared; most of them count. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.orders import Order, Rank
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.rebuild.findings import Finding, FindingKind, rank_text
from innkeeper.domain.rebuild.testimony import Testimony
from innkeeper.views.host import HostAgentSpec, Network

T = TypeVar("T", Network, Amounts)


@dataclass(kw_only=True)
class Ends:
    """Which guests were destroyed, by the latest order of each; by Guest ID and host.

    In one epoch a guest has one host. Another one may have been told to destroy what it kept of it, a disk, by an order
    of that very epoch: that ends no guest that its host shows. An order of a later epoch does, whoever shows it.
    """

    proven: dict[str, dict[str, Rank]] = field(default_factory=dict)  # by a signed order that the host shows
    told: dict[str, dict[str, Rank]] = field(default_factory=dict)  # by that host's word alone
    forgotten: dict[str, dict[str, str]] = field(default_factory=dict)  # of these: who took it off, and when

    def of(self, guest_id: str, host: str | None, *, epoch: int) -> Rank | None:
        """Return by which rank a guest was destroyed that is, or was to be, on `host` in `epoch`; None: it was not."""
        ranks = [self.proof(guest_id, host, epoch=epoch)]
        if host is not None:
            ranks.append(self.told.get(guest_id, {}).get(host))
        latest = max((each for each in ranks if each is not None), default=None)
        return latest if latest is not None and latest.epoch >= epoch else None

    def forgetter(self, guest_id: str, host: str | None, *, rank: Rank) -> str:
        """Return who took a guest off the host whose end of that rank it is, and when; empty: it was destroyed."""
        hosts = [other for other, told in self.told.get(guest_id, {}).items() if told == rank]
        if not hosts:
            return ""
        return self.forgotten.get(guest_id, {}).get(host if host in hosts else hosts[0], "")

    def proof(self, guest_id: str, host: str | None, *, epoch: int) -> Rank | None:
        """Return the same, by signed orders alone; None as the host: it is not known whose the epoch is."""
        shown = self.proven.get(guest_id, {}).items()
        ranks = (
            rank
            for other, rank in shown
            if rank.epoch > epoch or (rank.epoch == epoch and host in (None, other))
        )
        return max(ranks, default=None)


@dataclass(kw_only=True)
class Choice:
    """What the API server should hold, as far as hosts know it."""

    clusters: dict[str, Network] = field(default_factory=dict)
    hosts: dict[str, HostAgentSpec] = field(default_factory=dict)
    flavors: dict[str, Amounts] = field(default_factory=dict)
    guests: list[HeldOrder] = field(default_factory=list)  # by namespace and name
    superseded: list[HeldOrder] = field(default_factory=list)  # what former hosts keep of these guests
    ending: list[HeldOrder] = field(default_factory=list)  # orders to destroy that hosts have not carried out
    ends: Ends = field(default_factory=Ends)
    findings: list[Finding] = field(default_factory=list)

    @property
    def accounts(self) -> set[str]:
        """The namespaces that guests are in."""
        return {each.order.namespace for each in self.guests}

    @property
    def pools(self) -> set[str]:
        """The IPPools that addresses in use are of; what else they hold, no host knows."""
        return {address.pool for each in self.guests for address in each.order.addresses if address.pool}

    @property
    def images(self) -> set[str]:
        """The Images that guests were made from, as `NAMESPACE/NAME`; where they come from, no host knows."""
        images = (each.order.image for each in self.guests)
        return {f"{each.namespace}/{each.name}" for each in images if each is not None}


def choose(testimonies: Iterable[Testimony]) -> Choice:
    """Return what counts of all hosts' words together."""
    heard = sorted(testimonies, key=lambda each: each.host)
    choice = Choice(ends=_ends(heard))
    for each in heard:
        choice.findings += each.findings
    _choose_guests(heard, choice)
    _tell_of_superseded(heard, choice)
    _choose_ending(heard, choice)
    _choose_settings(heard, choice)
    _choose_flavors(choice)
    return choice


def _ends(heard: Iterable[Testimony]) -> Ends:
    ends = Ends()
    for each in heard:
        for guest_id, rank in each.ends.items():
            ends.proven.setdefault(guest_id, {})[each.host] = rank
        for guest_id, rank in each.own_ends.items():
            ends.told.setdefault(guest_id, {})[each.host] = rank
        for guest_id, word in each.forgotten.items():
            ends.forgotten.setdefault(guest_id, {})[each.host] = word
    return ends


def _choose_guests(heard: Iterable[Testimony], choice: Choice) -> None:
    held: defaultdict[str, list[HeldOrder]] = defaultdict(list)
    for each in heard:
        for guest_id, one in each.guests.items():
            held[guest_id].append(one)
    for guest_id, orders in held.items():
        first, *others = sorted(orders, key=lambda each: (each.order.rank, each.order.host), reverse=True)
        order = first.order
        end = choice.ends.of(guest_id, order.host, epoch=order.epoch)
        if end is None:
            choice.guests.append(first)
            choice.findings += (_superseded(each, first) for each in others)
            choice.findings += _ended_elsewhere(choice.ends, first)
        else:
            choice.findings += (_destroyed(each, end) for each in orders)
    choice.guests.sort(key=lambda each: (each.order.namespace, each.order.name, each.order.guest_id))


def _tell_of_superseded(heard: Iterable[Testimony], choice: Choice) -> None:
    """Tell of guests whose disk a former host keeps."""
    chosen = {each.order.guest_id: each for each in choice.guests}
    for testimony in heard:
        for guest_id, held in testimony.superseded.items():
            order = held.order
            # The epoch is another host's, whichever that is.
            end = choice.ends.of(guest_id, None, epoch=order.epoch)
            if guest_id in chosen:
                choice.superseded.append(held)
                choice.findings.append(_lives_elsewhere(order, chosen[guest_id].order))
            elif end is not None:
                choice.findings.append(_destroyed(held, end))
            else:
                choice.findings.append(_holder_unknown(order))


def _choose_ending(heard: Iterable[Testimony], choice: Choice) -> None:
    """Take the ends that are under way: such a guest may run on, with its addresses, until its host says otherwise."""
    for testimony in heard:
        for held in testimony.ending.values():
            choice.ending.append(held)
            choice.findings.append(_is_ending(held.order))


def _ended_elsewhere(ends: Ends, held: HeldOrder) -> Iterator[Finding]:
    """Tell of hosts that say that they destroyed a guest which another one holds: without proof, or a disk of it."""
    order = held.order
    name, shown = f"{order.namespace}/{order.name}", ends.proven.get(order.guest_id, {})
    for host, rank in ends.told.get(order.guest_id, {}).items():
        if host == order.host or rank.epoch < order.epoch:
            continue
        if host in shown:
            message = (
                f"{name}: host {host} destroyed what it kept of it, by the order {rank_text(rank)}; it lives on host "
                f"{order.host}, by {rank_text(order.rank)}. If it was to be deleted, delete its Guest again"
            )
            kind = FindingKind.SUPERSEDED
        else:
            word = ends.forgotten.get(order.guest_id, {}).get(host)
            did = f"it destroyed {name}" if word is None else f"{name} was taken off it by {word}"
            message = (
                f"host {host} says that {did}, and shows no order to do so: it counts as running on host "
                f"{order.host}"
            )
            kind = FindingKind.END_NOT_PROVEN
        yield Finding(kind=kind, host=host, subject=order.guest_id, message=message)


def _superseded(held: HeldOrder, by: HeldOrder) -> Finding:
    order, winner = held.order, by.order
    message = (
        f"{order.namespace}/{order.name}: host {order.host} holds it by the order {rank_text(order.rank)}, host "
        f"{winner.host} by {rank_text(winner.rank)}, which counts"
    )
    return Finding(kind=FindingKind.SUPERSEDED, host=order.host, subject=order.guest_id, message=message)


def _lives_elsewhere(order: Order, chosen: Order) -> Finding:
    message = (
        f"{order.namespace}/{order.name}: host {order.host} keeps its disk alone, by the order {rank_text(order.rank)}; "
        f"it lives on host {chosen.host}, by {rank_text(chosen.rank)}"
    )
    return Finding(kind=FindingKind.SUPERSEDED, host=order.host, subject=order.guest_id, message=message)


def _holder_unknown(order: Order) -> Finding:
    message = (
        f"{order.namespace}/{order.name}: host {order.host} keeps its disk alone, and by the order "
        f"{rank_text(order.rank)} it lives elsewhere: on no host that was heard. It is not made anew"
    )
    return Finding(kind=FindingKind.HOLDER_UNKNOWN, host=order.host, subject=order.guest_id, message=message)


def _is_ending(order: Order) -> Finding:
    message = (
        f"{order.namespace}/{order.name}: host {order.host} is to destroy it by the order {rank_text(order.rank)}, and "
        "has not yet: its addresses stay its own until the host says so"
    )
    return Finding(kind=FindingKind.ENDING, host=order.host, subject=order.guest_id, message=message)


def _destroyed(held: HeldOrder, end: Rank) -> Finding:
    order = held.order
    message = (
        f"{order.namespace}/{order.name}: host {order.host} holds it by the order {rank_text(order.rank)}, and it was "
        f"destroyed by {rank_text(end)}: it is not made anew"
    )
    return Finding(kind=FindingKind.DESTROYED, host=order.host, subject=order.guest_id, message=message)


def _choose_settings(heard: Iterable[Testimony], choice: Choice) -> None:
    networks: defaultdict[str, dict[str, Network]] = defaultdict(dict)
    for each in heard:
        if each.settings is None:
            message = f"host {each.host} never had settings, so it is not known which Cluster it is of"
            choice.findings.append(
                Finding(kind=FindingKind.SETTINGS_UNKNOWN, host=each.host, subject=each.host, message=message)
            )
            continue
        choice.hosts[each.host] = each.settings
        networks[each.settings.cluster][each.host] = each.settings.network
    for cluster, told in sorted(networks.items()):
        choice.clusters[cluster], others = _most(told)
        choice.findings += (_differs(host, f"the network of the Cluster {cluster}") for host in others)


def _choose_flavors(choice: Choice) -> None:
    told: defaultdict[str, dict[str, Amounts]] = defaultdict(dict)
    hosts: dict[str, str] = {}
    for held in choice.guests:
        order, taken = held.order, held.order.resources
        if order.spec.flavor is not None:
            amounts = Amounts(taken.cpu_millis, taken.memory_bytes, taken.disk_bytes)
            told[order.spec.flavor][order.guest_id] = amounts
            hosts[order.guest_id] = order.host
    for flavor, by_guest in sorted(told.items()):
        choice.flavors[flavor], others = _most(by_guest)
        # A Flavor that was changed leaves many such guests; one finding is enough.
        choice.findings += (_differs(hosts[each], f"the Flavor {flavor}") for each in others[:1])


def _most(told: Mapping[str, T]) -> tuple[T, list[str]]:
    """Return what most tell, and who tells otherwise; of equally many, what the first by name tells."""
    counts = Counter(told.values())
    most = max(counts.values())
    chosen = next(told[each] for each in sorted(told) if counts[told[each]] == most)
    return chosen, sorted(each for each, value in told.items() if value != chosen)


def _differs(host: str, what: str) -> Finding:
    message = f"host {host} has other values for {what} than most: check it"
    return Finding(kind=FindingKind.SETTINGS_DIFFER, host=host, subject=what, message=message)
