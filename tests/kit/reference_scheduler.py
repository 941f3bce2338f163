"""The rules of scheduling once more, slow and obvious: loops over plain data, written from their description.

Tests compare the real scheduler with it. Nothing here is shared with the code that it checks but the data classes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from innkeeper.domain.scheduling.facts import ClusterFacts, HostFacts, Resident, Strategy
from innkeeper.domain.scheduling.request import Request, Term
from innkeeper.views.placement import CLUSTER_TOPOLOGY, HOST_TOPOLOGY, Taint

_NOT_OF_PLACES = {
    "addresses",
    "mac",
}  # of the rules about where a guest may be, those that change from hour to hour


@dataclass
class World:
    """Everything that a decision may depend on."""

    hosts: dict[str, HostFacts] = field(default_factory=dict)
    clusters: dict[str, ClusterFacts] = field(default_factory=dict)
    guests: dict[str, Resident] = field(default_factory=dict)

    def place_of(self, host: HostFacts, key: str) -> str | None:
        """Return the place of a host by a topology key, or None where it has none."""
        if key == HOST_TOPOLOGY:
            return host.name
        return host.cluster if key == CLUSTER_TOPOLOGY else host.labels.get(key)

    def members(self, term: Term, place: str | None) -> int:
        """Count the guests of a term's group in one place."""
        return sum(
            self._is_in(guest, term, place) and term.group.has(guest.namespace, guest.labels)
            for guest in self.guests.values()
        )

    def _is_in(self, guest: Resident, term: Term, place: str | None) -> bool:
        host = self.hosts.get(guest.host)
        return host is not None and place is not None and self.place_of(host, term.topology_key) == place

    def left(self, host: HostFacts) -> tuple[int, int, int]:
        """Return what a host has not promised: cpu, memory, disk."""
        taken = [guest.amounts for guest in self.guests.values() if guest.host == host.name]
        return (
            host.allocatable.cpu_millis - sum(each.cpu_millis for each in taken),
            host.allocatable.memory_bytes - sum(each.memory_bytes for each in taken),
            host.allocatable.disk_bytes - sum(each.disk_bytes for each in taken),
        )


def failures(world: World, request: Request, host: HostFacts) -> list[str]:
    """Return the names of all rules that a host fails, in order."""
    return [name for name, passes in _verdicts(world, request, host) if not passes]


def _verdicts(world: World, request: Request, host: HostFacts) -> Iterator[tuple[str, bool]]:
    cluster = world.clusters.get(host.cluster) or ClusterFacts(name=host.cluster)
    cpu, memory, disk = world.left(host)
    yield from _where(request, host, cluster)
    yield "leaving", not host.leaving
    yield "readiness", host.ready
    yield "maintenance", not host.maintenance
    yield "unschedulable", not host.unschedulable
    yield "taints", not untolerated(request, host.taints, "NoSchedule")
    yield "refused", host.name not in request.avoid
    yield "cpu", request.amounts.cpu_millis <= cpu
    yield "memory", request.amounts.memory_bytes <= memory
    yield "disk", request.amounts.disk_bytes <= disk
    yield "affinity", all(_near(world, request, term, host) for term in request.near)
    yield "antiAffinity", _apart(world, request, host)
    yield "spread", all(_even(world, request, limit.term, limit.max_skew, host) for limit in request.spread)


def _where(request: Request, host: HostFacts, cluster: ClusterFacts) -> Iterator[tuple[str, bool]]:
    yield "cluster", request.cluster in (None, host.cluster)
    yield "clusterSelector", request.cluster_selector.matches(cluster.labels)
    yield "pool", request.clusters is None or host.cluster in request.clusters
    yield "addresses", request.addresses_free
    yield "mac", host.cluster not in request.mac_in_use
    yield "hostSelector", request.host_selector.matches(_labels(host))


def _labels(host: HostFacts) -> Mapping[str, str]:
    return {**host.labels, CLUSTER_TOPOLOGY: host.cluster}


def untolerated(request: Request, taints: tuple[Taint, ...], effect: str) -> list[Taint]:
    """Return the taints of an effect that no toleration covers."""
    found = []
    for taint in taints:
        covered = False
        for each in request.tolerations:
            key = each.key in ("", taint.key)
            value = each.value is None or each.value == taint.value
            covered = covered or (key and value and each.effect in (None, taint.effect))
        if taint.effect == effect and not covered:
            found.append(taint)
    return found


def _is_member(request: Request, term: Term) -> bool:
    return term.group.has(request.namespace, dict(request.labels))


def _near(world: World, request: Request, term: Term, host: HostFacts) -> bool:
    place = world.place_of(host, term.topology_key)
    if place is None:
        return False
    nowhere = not any(term.group.has(each.namespace, each.labels) for each in world.guests.values())
    return world.members(term, place) > 0 or (nowhere and _is_member(request, term))


def _apart(world: World, request: Request, host: HostFacts) -> bool:
    for term in request.apart:
        if world.members(term, world.place_of(host, term.topology_key)) > 0:
            return False
    for guest in world.guests.values():
        there = world.hosts.get(guest.host)
        for term in guest.apart:
            place = world.place_of(there, term.topology_key) if there else None
            same = place is not None and place == world.place_of(host, term.topology_key)
            if same and _is_member(request, term):
                return False
    return True


def _even(world: World, request: Request, term: Term, max_skew: int, host: HostFacts) -> bool:
    place = world.place_of(host, term.topology_key)
    if place is None:
        return False
    eligible = set()
    for each in world.hosts.values():
        cluster = world.clusters.get(each.cluster) or ClusterFacts(name=each.cluster)
        allowed = all(passes for name, passes in _where(request, each, cluster) if name not in _NOT_OF_PLACES)
        there = world.place_of(each, term.topology_key)
        if allowed and not each.leaving and there is not None:
            eligible.add(there)
    least = min((world.members(term, each) for each in eligible), default=0)
    return world.members(term, place) + _is_member(request, term) - least <= max_skew


def counts(world: World, request: Request) -> Counter[str]:
    """Count the hosts by the first rule that each fails."""
    first = (failures(world, request, host) for host in world.hosts.values())
    return Counter(names[0] for names in first if names)


def total(world: World, request: Request, host: HostFacts, fitting: list[HostFacts]) -> float:
    """Return the weighted score of a host that fits, beside all that fit."""
    cpu, memory, _ = world.left(host)
    parts = (
        (cpu - request.amounts.cpu_millis) / max(1, host.allocatable.cpu_millis),
        (memory - request.amounts.memory_bytes) / max(1, host.allocatable.memory_bytes),
    )
    emptiness = min(100.0, max(0.0, 50 * sum(parts)))
    cluster = world.clusters.get(host.cluster)
    found = 100 - emptiness if cluster and cluster.strategy is Strategy.PACK else emptiness
    found += 100 / (1 + len(untolerated(request, host.taints, "PreferNoSchedule")))
    found += 0.25 * host.images.get(request.image, 0)
    if request.wishes:
        met = sum(
            wish.weight
            for wish in request.wishes
            if world.members(wish.term, world.place_of(host, wish.term.topology_key)) > 0
        )
        found += 2 * 100 * met / sum(abs(wish.weight) for wish in request.wishes)
    if request.spread_wishes:
        found += sum(_emptier(world, term, host, fitting) for term in request.spread_wishes) / len(
            request.spread_wishes
        )
    return found


def _emptier(world: World, term: Term, host: HostFacts, fitting: list[HostFacts]) -> float:
    placed = [each for each in fitting if world.place_of(each, term.topology_key) is not None]
    if host not in placed:
        return 0.0
    of = {each.name: world.members(term, world.place_of(each, term.topology_key)) for each in placed}
    least, most = min(of.values()), max(of.values())
    return 100.0 if least == most else 100 * (most - of[host.name]) / (most - least)
