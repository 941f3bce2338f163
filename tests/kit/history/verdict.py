"""What must be true once all faults are over and time has passed: every object has converged, or says why it cannot.

Read from the API server's objects, the machines and the disks alone; counters are counted anew.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from innkeeper.domain import names
from innkeeper.domain.orders import peek
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import OperationPhase
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    CLUSTERS,
    GUEST_OPERATIONS,
    GUESTS,
    HOST_AGENTS,
    HOSTS,
    IP_ADDRESSES,
    IP_POOLS,
)
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.guestoperation import GuestOperation
from innkeeper.views.host import Host
from innkeeper.views.meta import Condition
from innkeeper.views.network import IPAddress, IPPool
from tests.kit.history.witness import Witness
from tests.kit.history.world import World
from tests.kit.objects import view
from tests.kit.recount import promised_by_the_api

STOPPED, STOPPED_AT_HOST = ("True", "Stopped"), ("False", "StoppedAtHost")
FORGOTTEN = ("False", "ForgottenAtHost")
COMPLETED, CRASHED = ("True", "Completed"), ("False", "Crashed")
RESTS = {"Always": set(), "OnFailure": {COMPLETED}, "Never": {COMPLETED, CRASHED}}
"""What a guest that ended by itself may say for ever, by its restart policy."""
MAY_WAIT = {"NoHostFits", "PoolExhausted", "FlavorNotFound", "PoolUnusable"}


def verdict(world: World) -> Iterator[str]:
    """Yield what is not as it should be."""
    guests = [view(each, Guest) for each in world.api.objects(GUESTS)]
    for guest in guests:
        yield from _guest(world, guest)
    yield from _operations(world)
    yield from _leftovers(world, guests)
    yield from _hosts(world)
    yield from _pools(world)
    yield from _promises(world)


def _find(conditions: list[Condition], kind: str) -> Condition | None:
    return next((each for each in conditions if each.type == kind), None)


def _id(guest: Guest) -> str:
    return guest.metadata.annotations.get(names.ID_ANNOTATION) or guest.metadata.uid


# Guests


def _guest(world: World, guest: Guest) -> Iterator[str]:
    who, ready = guest.metadata.name, _find(guest.status.conditions, "Ready")
    if guest.metadata.deletion_timestamp is not None:
        yield f"{who} is deleted and still there: {ready}"
    elif ready is None:
        yield f"{who} says nothing of itself"
    elif guest.status.observed_generation != guest.metadata.generation:
        yield f"{who} says nothing of its newest generation: {guest.status}"
    elif guest.status.host is None:
        yield from _unbound(world, guest)
    elif guest.status.host in world.witness.lost_hosts or world.host_object(guest.status.host) is None:
        if ready.reason != "HostLost":
            yield f"{who} went with its host {guest.status.host} and says {ready}"
    else:
        yield from _bound(world, guest, ready)


def _unbound(world: World, guest: Guest) -> Iterator[str]:
    steps = [_find(guest.status.conditions, kind) for kind in ("Scheduled", "AddressesAssigned")]
    reasons = {each.reason for each in steps if each is not None and each.status == "False"}
    if not reasons & MAY_WAIT:
        yield f"{guest.metadata.name} has no host and does not say why: {guest.status.conditions}"
    elif reasons & {"NoHostFits"}:
        for host in _fitting(world, guest):
            yield f"{guest.metadata.name} waits for room ({reasons}), and {host} has it"
    elif "PoolExhausted" in reasons:
        pool = view(_got(world, IP_POOLS, guest.spec.interfaces[0].pool or ""), IPPool)
        if pool.status.free:
            yield f"{guest.metadata.name} waits for an address of {pool.metadata.name}, which has {pool.status}"


def _fitting(world: World, guest: Guest) -> Iterator[str]:
    """Yield the hosts that could take a guest, by rules that are simple here: ready, free of taints, with room."""
    flavor = {"small": Amounts(1000, 1 << 30, 10 << 30), "large": Amounts(3000, 5 << 30, 40 << 30)}
    wanted = flavor[guest.spec.flavor or ""]
    promised = promised_by_the_api(world.api)
    for host in (view(each, Host) for each in world.api.objects(HOSTS)):
        ready = _find(host.status.conditions, "Ready")
        closed = host.spec.maintenance or host.spec.taints or host.spec.lost is not None
        if ready is None or ready.status != "True" or closed or host.status.allocatable is None:
            continue
        total = promised.get(host.metadata.name, Amounts()) + wanted
        has = Amounts.of(host.status.allocatable)
        if (
            total.cpu_millis <= has.cpu_millis
            and total.memory_bytes <= has.memory_bytes
            and total.disk_bytes <= has.disk_bytes
        ):
            yield host.metadata.name


def _bound(world: World, guest: Guest, ready: Condition) -> Iterator[str]:
    who = guest.metadata.name
    if ready.observed_generation != guest.metadata.generation:
        yield f"{who} is Ready of an older generation than {guest.metadata.generation}: {ready}"
    yield from _power(world, guest, ready)
    held = {
        each["spec"]["address"]
        for each in world.api.objects(IP_ADDRESSES)
        if each["spec"].get("owner", {}).get("id") == _id(guest)
    }
    if held != {each.address for each in guest.status.addresses}:
        yield f"{who} is bound to {guest.status.addresses} and holds {held}"


def _power(world: World, guest: Guest, ready: Condition) -> Iterator[str]:
    who, guest_id, host = guest.metadata.name, _id(guest), guest.status.host
    alive = world.witness.alive[guest_id]
    said = (ready.status, ready.reason)
    off = _off(world.witness, guest, said)
    if off is not None:
        if alive or said != off:
            yield f"{who} is to be off and to say {off}, lives on {alive} and says {ready}"
    elif said == ("True", "Running"):
        if alive != {host}:
            yield f"{who} says that it runs on {host} and lives on {alive}"
    elif said == ("False", "Paused") and world.witness.operated.may_be_paused(guest_id) and alive == {host}:
        pass
    elif said in RESTS[guest.spec.restart_policy]:
        if alive:
            yield f"{who} says {ready} and lives on {alive}"
    else:
        yield f"{who} on {host} is to run, lives on {alive} and says {ready}"


def _off(witness: Witness, guest: Guest, said: tuple[str, str]) -> tuple[str, str] | None:
    """Return what a guest has to say that is to be off; None of one that is to run."""
    guest_id = _id(guest)
    if guest_id in witness.forgotten:
        return FORGOTTEN
    if guest.spec.power == "Stopped":
        return STOPPED
    if guest_id in witness.must_be_off or (guest_id in witness.may_be_off and said == STOPPED_AT_HOST):
        return STOPPED_AT_HOST
    return None


def _operations(world: World) -> Iterator[str]:
    """Each has ended; how, the witness has looked at."""
    for operation in (view(each, GuestOperation) for each in world.api.objects(GUEST_OPERATIONS)):
        phase = operation.status.phase
        if phase is None or not OperationPhase(phase).is_final:
            yield f"{operation.metadata.name} is not over: {operation.status}"


# What must be gone


def _leftovers(world: World, guests: list[Guest]) -> Iterator[str]:
    known = {_id(guest): guest for guest in guests}
    for guest_id, hosts in world.witness.alive.items():
        if hosts and guest_id not in known:
            yield f"{guest_id} lives on {sorted(hosts)}, and its Guest is gone"
    for host in world.hosts.values():
        for directory in sorted((host.directory / "guests").glob("*")):
            if directory.name not in known:
                yield f"{host.host} keeps the disk of {directory.name}, whose Guest is gone"
    yield from _claims(world, known)
    yield from _orders(world, known)


def _claims(world: World, known: Mapping[str, Guest]) -> Iterator[str]:
    for address in (view(each, IPAddress) for each in world.api.objects(IP_ADDRESSES)):
        if address.spec.owner is not None and address.spec.owner.id not in known:
            yield f"{address.metadata.name} is held by {address.spec.owner.id}, whose Guest is gone"
        elif address.spec.owner is None and address.spec.released_at is None:
            yield f"{address.metadata.name} belongs to nobody and does not rest"


def _orders(world: World, known: Mapping[str, Guest]) -> Iterator[str]:
    for order in (view(each, Assignment) for each in world.api.objects(ASSIGNMENTS)):
        guest = known.get(order.spec.guest_id)
        place = names.host_of_namespace(order.metadata.namespace)
        if guest is None or guest.status.host != place:
            yield f"an order for {order.spec.guest_id} is left in {order.metadata.namespace}"
        elif place not in world.witness.lost_hosts and peek(order.spec.order).desired != guest.spec.power:
            yield f"the order of {guest.metadata.name} asks for {order.spec.desired}"


# What is counted


def _hosts(world: World) -> Iterator[str]:
    promised = promised_by_the_api(world.api)
    bound: defaultdict[str, int] = defaultdict(int)
    for guest in (view(each, Guest) for each in world.api.objects(GUESTS)):
        bound[guest.status.host or ""] += 1
    hosts = [view(each, Host) for each in world.api.objects(HOSTS)]
    for host in hosts:
        name, ready = host.metadata.name, _find(host.status.conditions, "Ready")
        told = (host.status.guests, Amounts.of(host.status.allocated) if host.status.allocated else Amounts())
        if told != (bound[name], promised.get(name, Amounts())):
            yield f"{name} tells {told}; counted: {bound[name]}, {promised.get(name)}"
        if host.spec.lost is None and host.metadata.deletion_timestamp is None:
            if ready is None or ready.status != "True":
                yield f"{name} is heard and not Ready: {ready}"
            if (
                world.api.get(HOST_AGENTS, names.HOST_AGENT_NAME, namespace=names.host_namespace(name))
                is None
            ):
                yield f"{name} has no HostAgent"
    cluster = _got(world, CLUSTERS, "lab")["status"]
    there = sum(count for host, count in bound.items() if host)
    known = sum(bound[host.metadata.name] for host in hosts)
    if cluster["hosts"] != len(hosts) or cluster["guests"] not in (there, known):
        yield f"the Cluster tells {cluster}; counted: {len(hosts)} hosts, {there} guests"


def _pools(world: World) -> Iterator[str]:
    addresses = [view(each, IPAddress) for each in world.api.objects(IP_ADDRESSES)]
    for pool in (view(each, IPPool) for each in world.api.objects(IP_POOLS)):
        mine = [each for each in addresses if each.spec.pool == pool.metadata.name]
        used = sum(each.spec.owner is not None for each in mine)
        if (pool.status.used, pool.status.quarantined) != (used, len(mine) - used):
            yield f"{pool.metadata.name} tells {pool.status}; counted: {used} used, {len(mine) - used} at rest"


def _promises(world: World) -> Iterator[str]:
    wanted = promised_by_the_api(world.api)
    for operator in world.operators:
        promises = operator.subset.promises
        told = {name: promises.of_host(name) for name in operator.subset.hosts}
        told = {name: amounts for name, amounts in told.items() if amounts != Amounts()}
        there = {name: amounts for name, amounts in wanted.items() if name in operator.subset.hosts}
        if told != there:
            yield f"{operator.name} counts as promised {told}; counted anew: {there}"


def _got(world: World, resource: object, name: str) -> dict[str, object]:
    found = world.api.get(resource, name)  # type: ignore[arg-type] # any resource
    assert found is not None
    return found
