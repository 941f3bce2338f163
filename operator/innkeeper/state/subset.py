"""What the operator knows: every object of the hot kinds as last seen, with the indices that decisions need.

It is fed by the informers and by the answers to our own writes (`assume`), and holds no opinion of its own. Whoever
set the `on_...` callbacks is told which guests, operations, pools and orders a change may concern. It never calls
anything that waits.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from innkeeper.domain.addressing.overlaps import Overlap
from innkeeper.domain.lifecycle.answered import may_hold
from innkeeper.domain.lifecycle.revival import is_unbound_revival
from innkeeper.domain.names import ID_ANNOTATION, host_of_namespace
from innkeeper.domain.orders import OrderInvalidError, peek
from innkeeper.domain.reasons import ConditionType, Desired, GuestReason, HostReason
from innkeeper.domain.scheduling.facts import ClusterFacts, Strategy
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.domain.scheduling.request import Request
from innkeeper.kube.conditions import find
from innkeeper.kube.informer import Change, Key, is_newer, key_of
from innkeeper.state import waiting
from innkeeper.state.backlog import Backlog, Rank
from innkeeper.state.claims import Claims
from innkeeper.state.host_facts import facts_of
from innkeeper.state.index import Index, put_or_drop
from innkeeper.state.operations import Operations
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.state.promises import Promises
from innkeeper.state.refusals import Refusals
from innkeeper.state.residents import resident_by, resident_of
from innkeeper.state.served_clusters import ServedClusters
from innkeeper.state.turns import whose_turn
from innkeeper.state.waiting import Waiting
from innkeeper.views.assignment import Assignment
from innkeeper.views.catalog import Cluster, Flavor, Image
from innkeeper.views.guest import Guest
from innkeeper.views.guestoperation import GuestOperation
from innkeeper.views.host import Host, HostAgent
from innkeeper.views.meta import Condition, View
from innkeeper.views.network import IPAddress, IPPool

V = TypeVar("V", bound=View)


def guest_id_of(guest: Guest) -> str:
    """Return the Guest ID: the annotation that only the operator may set, else the object's uid."""
    return guest.metadata.annotations.get(ID_ANNOTATION) or guest.metadata.uid


class Subset:
    """Every object by key, and the indices."""

    def __init__(self) -> None:
        self.guests: dict[Key, Guest] = {}
        self.hosts: dict[str, Host] = {}
        self.host_agents: dict[str, HostAgent] = {}
        # Guest ID -> host -> it.
        self.assignments: defaultdict[str, dict[str, Assignment]] = defaultdict(dict)
        self.pool_catalog = PoolCatalog()
        self.claims = Claims(self.pool_catalog)
        self.operations = Operations()
        self.pools: dict[str, IPPool] = {}
        self.flavors: dict[str, Flavor] = {}
        self.images: dict[Key, Image] = {}
        self.clusters: dict[str, Cluster] = {}
        self.served = ServedClusters(self.pool_catalog, self.clusters)
        self.guest_keys: dict[str, Key] = {}
        self.fleet = Fleet()
        self.promises = Promises(self.fleet)
        self.waiting = Waiting()
        self.backlog = Backlog(self.fleet)
        self.refusals = Refusals()
        self.guest_crd_terminating = False
        self._led: Key | None = None  # while an answer to a write for it is taken
        self.on_guest: Callable[[Key], None] = lambda _: None
        self.on_operation: Callable[[Key], None] = lambda _: None
        # Something changed that could help a guest in the backlog.
        self.on_room: Callable[[], None] = lambda: None
        self.on_pool: Callable[[str], None] = lambda _: None  # what guests are told of a pool changed
        self.on_unowned_assignment: Callable[[str, str], None] = lambda host, guest_id: None  # noqa: ARG005 - a default that does nothing
        self._guests_of_host: Index[str, Key] = Index()
        self._guests_of_namespace: Index[str, Key] = Index()
        self._assignments_of_host: defaultdict[str, dict[str, Assignment]] = defaultdict(dict)  # by Guest ID
        self._guests_of_mac: Index[str, str] = Index()  # Guest IDs that are bound to it
        self._guests_of_image: Index[Key, Key] = Index()  # bound to it
        self._takers: dict[type[View], Callable[[Any], None]] = {}
        self._appliers: dict[type[View], Callable[[Change[Any]], None]] = {
            Guest: self._apply_guest,
            GuestOperation: self._apply_operation,
            Assignment: self._apply_assignment,
            Host: self._apply_host,
            HostAgent: self._apply_host_agent,
            IPAddress: self._apply_address,
            IPPool: self._apply_pool,
            Flavor: self._apply_flavor,
            Image: self._apply_image,
            Cluster: self._apply_cluster,
        }

    # What others ask

    def guests_of_host(self, host: str) -> list[Guest]:
        """Return the guests that are bound to a host."""
        return [self.guests[key] for key in self._guests_of_host.of(host)]

    def guests_of_namespace(self, namespace: str) -> list[Guest]:
        """Return the guests of a namespace."""
        return [self.guests[key] for key in self._guests_of_namespace.of(namespace)]

    def guests_of_image(self, image: Key) -> list[Key]:
        """Return the guests that are bound to an image."""
        return sorted(self._guests_of_image.of(image))

    def guests_of_mac(self, mac: str, *, other_than: str) -> list[Guest]:
        """Return the guests of all clusters that are bound to a MAC, but for the one named by its Guest ID."""
        others = sorted(each for each in self._guests_of_mac.of(mac) if each != other_than)
        return [self.guests[key] for each in others if (key := self.guest_keys.get(each)) in self.guests]

    def assignment(self, guest_id: str, host: str) -> Assignment | None:
        """Return the order of a guest for a host, or None."""
        return self.assignments.get(guest_id, {}).get(host)

    def assignments_of(self, guest_id: str) -> dict[str, Assignment]:
        """Return every order of a guest, by host."""
        return self.assignments.get(guest_id, {})

    def assignments_of_host(self, host: str) -> list[Assignment]:
        """Return every order for a host."""
        return list(self._assignments_of_host.get(host, {}).values())

    def host_reason(self, host: str) -> str | None:
        """Return the reason of the Host's Ready, or None where nothing is known of it."""
        ready = self.host_ready(host)
        return ready.reason if ready else None

    def host_is_silent(self, host: str) -> bool:
        """Tell whether a host is not heard, as the operator counts silence; one without a Host is not heard either."""
        return host not in self.hosts or self.host_reason(host) in (
            HostReason.SILENT,
            HostReason.NEVER_REPORTED,
        )

    def host_is_told_silent(self, host: str) -> bool:
        """Tell whether a Host itself says that it is silent, so that people hear of the host, not of its guests."""
        return self.host_reason(host) == HostReason.SILENT

    def host_is_lost(self, host: str) -> bool:
        """Tell whether a person said that the host never returns."""
        found = self.hosts.get(host)
        return found is not None and found.spec.lost is not None

    def guest_is_lost(self, guest: Guest) -> bool:
        """Tell whether a guest went with its host; this stays known from the Guest after the Host is deleted."""
        host = guest.status.host
        if host is None or host in self.hosts:
            return host is not None and self.host_is_lost(host)
        ready = find(guest.status.conditions, ConditionType.READY)
        return ready is not None and ready.reason == GuestReason.HOST_LOST

    def guests_host_is_silent(self, guest: Guest) -> bool:
        """Tell whether a guest is bound to a host that is silent."""
        host = guest.status.host
        return host is not None and self.host_is_silent(host)

    def host_ready(self, host: str) -> Condition | None:
        """Return what a Host says of Ready."""
        found = self.hosts.get(host)
        return find(found.status.conditions, ConditionType.READY) if found is not None else None

    # How it is fed

    def attach(self, view: type[V], take: Callable[[V], None]) -> None:
        """Have `assume` pass objects of a kind to its informer, which then feeds them back as changes."""
        self._takers[view] = take

    def assume(self, view: View, *, led: Key | None = None) -> None:
        """Take the answer to a write of our own, so that the next step need not wait for the watch.

        `led` is the guest whose next step is taken from there at once: for its sake nobody has to look at it again.
        """
        self._led, take = led, self._takers.get(type(view))
        try:
            if take is not None:
                take(view)
            elif is_newer(view, old := self._held(view)):
                self.apply(Change(key_of(view), old, view))
        finally:
            self._led = None

    def _held(self, view: View) -> View | None:
        namespace, name = key_of(view)
        host = host_of_namespace(namespace) or ""
        if isinstance(view, Assignment):
            return self.assignment(view.spec.guest_id, host)
        if isinstance(view, HostAgent):
            return self.host_agents.get(host)
        if isinstance(view, Guest):
            return self.guests.get((namespace, name))
        if isinstance(view, GuestOperation):
            return self.operations.by_key.get((namespace, name))
        if isinstance(view, Image):
            return self.images.get((namespace, name))
        tables: dict[type[View], Mapping[str, View]] = {
            Host: self.hosts,
            IPAddress: self.claims.by_name,
            IPPool: self.pools,
            Flavor: self.flavors,
            Cluster: self.clusters,
        }
        return tables[type(view)].get(name)

    def apply(self, change: Change[Any]) -> None:
        """Take a change from an informer."""
        view = change.new if change.new is not None else change.old
        self._appliers[type(view)](change)  # type: ignore[index] # one of old and new is always there
        self._tell_of_room()

    def _apply_guest(self, change: Change[Guest]) -> None:
        old = self.guests.pop(change.key, None)
        if old is not None:
            self._unindex_guest(change.key, old)
        if change.new is not None:
            self.guests[change.key] = change.new
            self._index_guest(change.key, change.new)
        if change.new is None:
            self.stop_waiting(change.key)
        if change.new is None or change.new.status.host is not None:
            self.leave_backlog(change.key)
        if old is not None:
            self._follow_up(old, change.new)
        elif change.new is not None and change.new.status.host is None:
            # Its order may have been told before it, and have taken room on a host that it is no longer bound to.
            self.settle_promise(guest_id_of(change.new))
        self._have_looked_at(change.key)
        self._tell_operations(change.key)

    def _have_looked_at(self, key: Key) -> None:
        if key != self._led:
            self.on_guest(key)

    def _apply_operation(self, change: Change[GuestOperation]) -> None:
        guest = self.operations.put(change.key, change.new)
        if guest is not None:
            self.on_guest(guest)  # its order may carry the next one now
            self._tell_operations(guest)

    def _tell_operations(self, guest: Key) -> None:
        if not self.operations.by_key:
            return
        for key in self.operations.keys_of(guest):
            self.on_operation(key)

    def _follow_up(self, old: Guest, new: Guest | None) -> None:
        """End the promise of a guest that is gone or refused, and have its orders looked at."""
        guest_id = guest_id_of(old)
        is_gone = new is None or guest_id_of(new) != guest_id
        is_left = old.status.host is not None and (new is None or new.status.host is None)
        if is_gone or is_left:
            self.settle_promise(guest_id)
            for each in old.status.addresses:
                self.wake(waiting.mac(old.status.cluster or "", each.mac))
        if is_gone:
            for host in list(self.assignments_of(guest_id)):
                self.on_unowned_assignment(host, guest_id)

    def _index_guest(self, key: Key, guest: Guest) -> None:
        guest_id = guest_id_of(guest)
        self.guest_keys[guest_id] = key
        self._guests_of_namespace.add(key[0], key)
        for each in guest.status.addresses:
            self._guests_of_mac.add(each.mac, guest_id)
        if guest.status.image is not None:
            self._guests_of_image.add((guest.status.image.namespace, guest.status.image.name), key)
        if guest.status.host is not None:
            self._guests_of_host.add(guest.status.host, key)
            self.promises.keep(guest_id, resident_of(guest, guest.status.host))

    def _unindex_guest(self, key: Key, guest: Guest) -> None:
        guest_id = guest_id_of(guest)
        self.guest_keys.pop(guest_id, None)
        self._guests_of_namespace.discard(key[0], key)
        for each in guest.status.addresses:
            self._guests_of_mac.discard(each.mac, guest_id)
        if guest.status.image is not None:
            self._guests_of_image.discard((guest.status.image.namespace, guest.status.image.name), key)
        if guest.status.host is not None:
            self._guests_of_host.discard(guest.status.host, key)

    def settle_promise(self, guest_id: str) -> None:
        """Have a guest's promise say what is known: its binding, else an order that a host still holds, else none.

        For who noted a promise and could not write the binding: somebody else may have bound the guest meanwhile.
        """
        key = self.guest_keys.get(guest_id)
        guest = self.guests.get(key) if key else None
        if guest is not None and guest.status.host is not None:
            self.promises.keep(guest_id, resident_of(guest, guest.status.host))
        elif (guest is not None and not is_unbound_revival(guest)) or not self._keep_by_order(guest_id):
            self.promises.release(guest_id)
        self._tell_of_room()

    def wait_for_room(self, key: Key, request: Request, rank: Rank) -> None:
        """Note that no host fits a guest; where it asked for something else before, who stood behind it has a look."""
        self._look_next(self.backlog.wait(key, request, rank))

    def leave_backlog(self, key: Key) -> None:
        """A guest waits for room no longer; who stood behind it has a look."""
        self._look_next(self.backlog.leave(key))

    def _look_next(self, follower: Key | None) -> None:
        if follower is not None:
            self.on_guest(follower)

    def _tell_of_room(self) -> None:
        if len(self.backlog) and self.fleet.gains:
            self.on_room()

    def _keep_by_order(self, guest_id: str) -> bool:
        """A guest without an object still takes room on the host that may hold it: as much as its order says."""
        orders = self.assignments_of(guest_id).items()
        holding = {
            host: each for host, each in orders if may_hold(each) and each.spec.desired != Desired.SUPERSEDED
        }
        if self.promises.host_of(guest_id) in holding:
            return True
        for host, each in holding.items():
            try:
                order = peek(each.spec.order)
            except OrderInvalidError:
                continue
            self.promises.keep(guest_id, resident_by(order, host))
            return True
        return False

    def _apply_assignment(self, change: Change[Assignment]) -> None:
        view = change.new if change.new is not None else change.old
        host = host_of_namespace(change.key[0])
        if view is None or host is None:
            return
        guest_id = view.spec.guest_id
        if change.new is not None:
            self.assignments[guest_id][host] = change.new
            self._assignments_of_host[host][guest_id] = change.new
        else:
            self.assignments[guest_id].pop(host, None)
            if not self.assignments[guest_id]:
                del self.assignments[guest_id]
            self._assignments_of_host[host].pop(guest_id, None)
        key = self.guest_keys.get(guest_id)
        if key is not None:
            self._have_looked_at(key)
            self._tell_operations(key)
            return
        self.settle_promise(guest_id)
        if change.new is not None:
            self.on_unowned_assignment(host, guest_id)

    def _apply_host(self, change: Change[Host]) -> None:
        name = change.key[1]
        told_before = self._told_of(name)
        put_or_drop(self.hosts, name, change.new)
        if change.new is None:
            self.fleet.remove_host(name)
        else:
            self.fleet.put_host(facts_of(change.new, self.host_agents.get(name)))
        if told_before != self._told_of(name):
            for key in list(self._guests_of_host.of(name)):
                self.on_guest(key)
                self._tell_operations(key)
            for order in self.assignments_of_host(name):
                if order.spec.guest_id not in self.guest_keys:
                    self.on_unowned_assignment(name, order.spec.guest_id)

    def _told_of(self, name: str) -> tuple[object, ...]:
        """What guests on a host are told of it; a change concerns each of them."""
        host = self.hosts.get(name)
        if host is None:
            return ()
        return (self.host_reason(name), host.spec.lost, host.status.store_id)

    def _apply_host_agent(self, change: Change[HostAgent]) -> None:
        host = host_of_namespace(change.key[0])
        if host is not None:
            put_or_drop(self.host_agents, host, change.new)
            if (known := self.hosts.get(host)) is not None:
                self.fleet.put_host(facts_of(known, change.new))

    def _apply_address(self, change: Change[IPAddress]) -> None:
        name, new = change.key[1], change.new
        old = self.claims.put(name, new)
        if old is None:
            return
        owner = old.spec.owner
        if new is None or not self.claims.hinders_others(new):
            for pool in self.pool_catalog.may_give(old):
                self.offer(waiting.pool(pool))
        if owner is not None and (new is None or new.spec.owner is None):
            self.offer(waiting.limit(old.spec.pool, owner.namespace))
        if new is None or new.spec.owner != owner:
            self.wake(waiting.address(name))

    def _apply_pool(self, change: Change[IPPool]) -> None:
        name = change.key[1]
        put_or_drop(self.pools, name, change.new)
        before, offered = self.pool_catalog.held(name), self.pool_catalog.offered(name)
        concerned = self._concerned_by(name)
        if self.pool_catalog.put(name, change.new):
            # What overlapped with it may serve now, too, or no more; or give what guests of this one hold.
            others = {other for other, _ in concerned ^ self._concerned_by(name)}
            if change.new is None:  # what rests of it hinders no other space any more
                others |= {other for other, overlap in concerned if overlap is None}
            for each in {name} | others:
                self.wake(waiting.pool(each))
                self.wake(waiting.spec_of_pool(each))
            after = self.pool_catalog.held(name)
            if after is not None and (before is None or before.told != after.told):
                self.on_pool(name)
            if others or offered != self.pool_catalog.offered(name):
                self._have_clusters_served_changed()
            elif before is not None and after is not None:
                self._look_at_owners(before.reserved_otherwise(after))

    def _look_at_owners(self, owners: Iterable[str]) -> None:
        """For whom addresses are reserved stands in no line with others that wait for room; now or not any more."""
        for owner in sorted(owners):
            namespace, _, name = owner.partition("/")
            if (namespace, name) in self.guests:
                self.on_guest((namespace, name))

    def _concerned_by(self, name: str) -> AbstractSet[tuple[str, Overlap | None]]:
        """Return the pools that do not serve for an older one, and what claims of `name` hinder, if anybody waits."""
        if not self.waiting and not self.backlog:
            return frozenset()
        kept_from = {(each, None) for each in self.claims.kept_from(name)}
        return kept_from | self.pool_catalog.overlapping().items()

    def _have_clusters_served_changed(self) -> None:
        """Which clusters pools serve is in the requests of guests that wait for room: all of them are made anew.

        What else changes of a pool concerns those alone whom it refused, which wait for it by its name.
        """
        self.served.forget()
        self.wake(waiting.any_pool())
        for key in self.backlog.waiting():
            self.on_guest(key)

    def _apply_flavor(self, change: Change[Flavor]) -> None:
        name, new = change.key[1], change.new
        old = self.flavors.get(name)
        put_or_drop(self.flavors, name, new)
        if (old and old.spec) != (new and new.spec):
            self.wake(waiting.flavor(name))

    def _apply_image(self, change: Change[Image]) -> None:
        old, new = self.images.get(change.key), change.new
        put_or_drop(self.images, change.key, new)
        if (old and old.facts) != (new and new.facts):
            self.wake(waiting.image(*change.key))

    def _apply_cluster(self, change: Change[Cluster]) -> None:
        name, new = change.key[1], change.new
        old = self.clusters.get(name)
        put_or_drop(self.clusters, name, new)
        if new is None:
            self.fleet.remove_cluster(name)
        else:
            strategy = Strategy(new.spec.scheduling.strategy)
            self.fleet.put_cluster(ClusterFacts(name=name, labels=new.metadata.labels, strategy=strategy))
        is_relabelled = (old and old.metadata.labels) != (new and new.metadata.labels)
        if is_relabelled and any(each.spec.cluster_selector is not None for each in self.pools.values()):
            self._have_clusters_served_changed()

    def offer(self, cause: str, *, but_not: Key | None = None) -> None:
        """Have those whose turn it is look at what came free; who leaves the line without it passes it on."""
        for key in whose_turn(cause, self.waiting, catalog=self.pool_catalog, claims=self.claims):
            if key != but_not:
                self.on_guest(key)

    def stop_waiting(self, key: Key) -> None:
        """A guest waits for no thing any more; who stands behind it has a look."""
        for cause in self.waiting.forget(key):
            self.offer(cause)

    def wait_for(
        self, key: Key, causes: Iterable[str], *, rank: Rank, needs: Mapping[str, int] | None = None
    ) -> None:
        """Note what a guest waits for, and nothing else; who stands behind it for something else has a look."""
        for cause in self.waiting.wait(key, wanted := frozenset(causes), rank=rank, needs=needs):
            # Those who could use it as little, for want of the same room, have their turn with that.
            self.waiting.pass_by(cause, self.backlog.behind(key) if cause not in wanted else ())
            self.offer(cause)

    def wake(self, cause: str) -> None:
        """Have every guest that waits for a cause look again."""
        for key in self.waiting.wake(cause):
            self.on_guest(key)
