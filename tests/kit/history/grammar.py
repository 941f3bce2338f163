"""What may happen in a history, how often, and how each event is done: by people, by bad luck, and by repair.

An event returns a line for the log, or None where it makes no sense now; then another one is drawn. Faults outnumber
repairs a little, so that several often overlap.
"""

from collections.abc import Awaitable, Callable

from innkeeper.domain import names
from innkeeper.domain.reasons import OperationKind
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    GUEST_OPERATIONS,
    GUESTS,
    HOST_AGENTS,
    HOSTS,
    IP_POOLS,
    NAMESPACES,
)
from tests.kit import objects
from tests.kit.history import at_host
from tests.kit.history.parts import HostPart
from tests.kit.history.witness import guest_id_of
from tests.kit.history.world import POOL_NAMES, World
from tests.kit.objects import NAMESPACE

Event = Callable[[World], Awaitable[str | None]]

KNOWN_GUEST = 0.95
ASKS_TWICE = 0.3

EVENTS: list[tuple[float, Event]] = []


def event(weight: float) -> Callable[[Event], Event]:
    """Add an event to the grammar."""

    def add(function: Event) -> Event:
        EVENTS.append((weight, function))
        return function

    return add


async def draw(world: World) -> str:
    """Let one random event happen."""
    events = world.events or EVENTS
    weights = [weight for weight, _ in events]
    while True:
        ((_, chosen),) = world.random.choices(events, weights)
        if (line := await chosen(world)) is not None:
            return line


# People and their guests


@event(14)
async def create_guest(world: World) -> str | None:
    """Somebody wants a guest."""
    name = world.new_guest_name()
    if not name:
        return None
    spec = {
        "flavor": world.random.choices(("small", "large", "absent"), (8, 4, 0.3))[0],
        "restartPolicy": world.random.choice(("Always", "Always", "OnFailure", "Never")),
        "power": world.random.choices(("Running", "Stopped"), (5, 1))[0],
        "interfaces": [{"name": "eth0", "pool": world.random.choices(POOL_NAMES, (5, 2))[0]}],
    }
    made = world.api.create(GUESTS, objects.guest(name, number=None, spec=spec), namespace=NAMESPACE)
    return f"create {name} ({made['metadata']['uid']}): {spec}"


@event(6)
async def change_power(world: World) -> str | None:
    """Somebody turns a guest on or off."""
    name = _some_guest(world)
    if name is None:
        return None
    power = world.random.choice(("Running", "Stopped"))
    world.api.patch(GUESTS, name, {"spec": {"power": power}}, namespace=NAMESPACE)
    return f"{name} is to be {power}"


@event(3)
async def change_labels(world: World) -> str | None:
    """Somebody labels a guest, or changes its restart policy."""
    name = _some_guest(world)
    if name is None:
        return None
    policy = world.random.choice(("Always", "OnFailure", "Never"))
    change = {"metadata": {"labels": {"tier": policy.lower()}}, "spec": {"restartPolicy": policy}}
    world.api.patch(GUESTS, name, change, namespace=NAMESPACE)
    return f"label {name}; restartPolicy {policy}"


@event(7)
async def delete_guest(world: World) -> str | None:
    """Somebody deletes a guest."""
    name = _some_guest(world)
    if name is None:
        return None
    world.api.delete(GUESTS, name, namespace=NAMESPACE)
    return f"delete {name}"


@event(3)
async def force_delete_guest(world: World) -> str | None:
    """Somebody deletes a guest by force, mostly on a host that is not heard."""
    mute = {host.host for host in world.hosts.values() if not host.runs or host.is_cut}
    found = [each for each in world.api.objects(GUESTS) if each["status"].get("host") in mute]
    if not found:
        return None
    name = world.random.choice(found)["metadata"]["name"]
    force = {"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "the host is silent"}}}
    world.api.patch(GUESTS, name, force, namespace=NAMESPACE)
    world.api.delete(GUESTS, name, namespace=NAMESPACE)
    return f"delete {name} by force"


# Things that people have done to guests once


@event(12)
async def operate(world: World) -> str | None:
    """Somebody has something done to a guest once; now and then to one that is not there yet, or soon asks again."""
    name = _some_guest(world) if world.random.random() < KNOWN_GUEST else world.new_guest_name()
    if not name:
        return None
    kind = world.random.choice(tuple(OperationKind))
    made = world.operate(name, kind)
    if world.random.random() < ASKS_TWICE:
        world.operate(name, world.random.choice(tuple(OperationKind)))
    return f"{kind} {name} ({made['metadata']['uid']})"


@event(1)
async def delete_operation(world: World) -> str | None:
    """Somebody deletes a GuestOperation, at whatever step it is."""
    found = world.api.objects(GUEST_OPERATIONS)
    if not found:
        return None
    name = world.random.choice(found)["metadata"]["name"]
    world.api.delete(GUEST_OPERATIONS, name, namespace=NAMESPACE)
    return f"delete the GuestOperation {name}"


# People and their hosts


@event(3)
async def maintain(world: World) -> str | None:
    """An admin begins or ends maintenance."""
    return _change_host(world, {"maintenance": world.random.choice((True, False))})


@event(2)
async def taint(world: World) -> str | None:
    """An admin taints a host, or takes its taints away."""
    taints = [{"key": "broken", "value": "", "effect": "NoSchedule"}]
    return _change_host(world, {"taints": world.random.choice((taints, []))})


@event(1)
async def delete_host(world: World) -> str | None:
    """An admin deletes a Host; it goes once no guest is left."""
    host = world.random.choice(list(world.hosts))
    if world.host_object(host) is None:
        return None
    world.api.delete(HOSTS, host)
    return f"delete the Host {host}"


@event(4)
async def register_host(world: World) -> str | None:
    """An admin registers a host again that is gone; a burnt one is replaced by a new machine."""
    gone = [host for host in world.hosts.values() if world.host_object(host.host) is None]
    if not gone:
        return None
    host = world.random.choice(gone)
    world.register(host.host)
    world.witness.lost_hosts.discard(host.host)
    if host.is_burnt:
        host.replace()
        host.start()
    return f"register the Host {host.host} again"


@event(0.7)
async def burn(world: World) -> str | None:
    """A machine burns down, and an admin says that it is lost."""
    host = world.random.choice(list(world.hosts.values()))
    if host.is_burnt or world.host_object(host.host) is None:
        return None
    await host.burn()
    world.witness.lost_hosts.add(host.host)
    world.api.patch(HOSTS, host.host, {"spec": {"lost": "it burnt"}})
    return f"{host.host} burns and is declared lost"


@event(2)
async def change_pool(world: World) -> str | None:
    """An admin shrinks a pool, or lets it grow again."""
    name = world.random.choice(POOL_NAMES)
    net = "10.7.0" if name == "lab" else "10.8.0"
    exclude = world.random.choice(([], [f"{net}.0/29"], [f"{net}.4/30"]))
    world.api.patch(IP_POOLS, name, {"spec": {"exclude": exclude}})
    return f"the pool {name} gives no {exclude}"


# Processes


@event(3)
async def kill_operator(world: World) -> str | None:
    """An operator is killed."""
    if not world.operators:
        return None
    operator = world.operators.pop(world.random.randrange(len(world.operators)))
    await operator.kill()
    return f"kill {operator.name}"


@event(10)
async def start_operator(world: World) -> str | None:
    """An operator is started, where there is none."""
    return None if world.operators else f"start {world.start_operator()}"


@event(1)
async def start_second_operator(world: World) -> str | None:
    """A second operator leads beside the first."""
    return f"start {world.start_operator()} too" if len(world.operators) == 1 else None


@event(60)
async def end_second_operator(world: World) -> str | None:
    """One of two operators finds that it does not lead, and ends: a Lease lets them overlap for seconds only."""
    return await kill_operator(world) if len(world.operators) > 1 else None


@event(4)
async def kill_agent(world: World) -> str | None:
    """An agent is killed; its machines run on."""
    host = _some_host(world, lambda each: each.runs)
    if host is None:
        return None
    await host.kill()
    return f"kill the agent of {host.host}"


@event(9)
async def start_agent(world: World) -> str | None:
    """An agent is started again."""
    host = _some_host(world, lambda each: not each.runs and not each.is_burnt)
    if host is None:
        return None
    host.start()
    return f"start the agent of {host.host}"


# Machines


@event(3)
async def crash(world: World) -> str | None:
    """A machine's process dies."""
    return _to_a_machine(world, "crash")


@event(3)
async def power_off(world: World) -> str | None:
    """A guest powers itself off."""
    return _to_a_machine(world, "power_off")


@event(2)
async def reboot(world: World) -> str | None:
    """A host loses its power and comes back: agent and machines are gone, disks stay."""
    host = _some_host(world, lambda each: not each.is_burnt)
    if host is None:
        return None
    was_running = host.runs
    await host.reboot()
    if was_running:
        host.start()
    return f"{host.host} reboots"


# The API server and the way to it


@event(2)
async def api_down(world: World) -> str | None:
    """The API server goes away; its watch cache goes with it."""
    if not world.api.is_up:
        return None
    await world.api.down()
    return "the API server is down"


@event(14)
async def api_up(world: World) -> str | None:
    """The API server is back."""
    if world.api.is_up:
        return None
    await world.api.up()
    return "the API server is up"


@event(3)
async def cut_watches(world: World) -> str | None:
    """Every watch is cut."""
    world.api.faults.drop_watch()
    return "every watch is cut"


@event(2)
async def forget_history(world: World) -> str | None:
    """Every watch is cut, and no version from before is known any more: 410."""
    world.api.store.forget_history()
    world.api.faults.drop_watch()
    return "the API server forgets its history"


@event(4)
async def storm(world: World) -> str | None:
    """Many calls in a row are refused."""
    status, pattern = world.random.choice(
        ((409, "patch *"), (409, "update *"), (429, "*"), (503, "*"), (500, "create *"), (504, "*"))
    )
    times = world.random.choice((1, 3, 10, 40))
    world.api.faults.fail(pattern, status=status, times=times, retry_after_s=1 if status == 429 else None)
    return f"the next {times} calls `{pattern}` get {status}"


@event(4)
async def lose_answers(world: World) -> str | None:
    """Writes are carried out, and their answers lost."""
    pattern = world.random.choice(
        ("create *", "patch *", "update *", "delete *", "update guests/status *", "create ipaddresses *")
    )
    times = world.random.choice((1, 2, 8))
    world.api.faults.cut(pattern, times=times, after=True)
    return f"the next {times} answers to `{pattern}` are lost"


@event(3)
async def cut_host(world: World) -> str | None:
    """A host's network to the API server fails; its guests run on."""
    host = _some_host(world, lambda each: not each.is_cut)
    if host is None:
        return None
    host.cut_off(is_cut=True)
    return f"{host.host} is cut off"


@event(7)
async def mend_host(world: World) -> str | None:
    """That network is mended."""
    host = _some_host(world, lambda each: each.is_cut)
    if host is None:
        return None
    host.cut_off(is_cut=False)
    return f"{host.host} is no longer cut off"


# Somebody deletes what is not theirs


@event(1.5)
async def delete_namespace(world: World) -> str | None:
    """Somebody deletes a host's namespace."""
    namespace = names.host_namespace(world.random.choice(list(world.hosts)))
    if world.api.get(NAMESPACES, namespace) is None or _makes_orphans(world, namespace):
        return None
    world.api.delete(NAMESPACES, namespace)
    return f"delete the namespace {namespace}"


@event(2)
async def delete_assignments(world: World) -> str | None:
    """Somebody deletes all Assignments of a host."""
    namespace = names.host_namespace(world.random.choice(list(world.hosts)))
    if _makes_orphans(world, namespace):
        return None
    found = world.api.objects(ASSIGNMENTS, namespace=namespace)
    for each in found:
        world.api.delete(ASSIGNMENTS, each["metadata"]["name"], namespace=namespace)
    return f"delete {len(found)} Assignments in {namespace}" if found else None


@event(1)
async def delete_host_agent(world: World) -> str | None:
    """Somebody deletes a HostAgent."""
    namespace = names.host_namespace(world.random.choice(list(world.hosts)))
    if world.api.get(HOST_AGENTS, names.HOST_AGENT_NAME, namespace=namespace) is None:
        return None
    world.api.delete(HOST_AGENTS, names.HOST_AGENT_NAME, namespace=namespace)
    return f"delete the HostAgent in {namespace}"


# Clocks


@event(2)
async def step_clock(world: World) -> str | None:
    """The time of day of one machine jumps by an hour."""
    process = world.random.choice([*world.operators, *world.hosts.values()])
    process.clock.offset_s = world.random.choice((-3600.0, 0.0, 3600.0))
    return f"the clock of {process.name} is {process.clock.offset_s:+.0f} s off"


# People at a host

for weight, each in at_host.EVENTS:
    event(weight)(each)


# What the events above share


def _some_guest(world: World) -> str | None:
    found = world.guests()
    if not found:
        return None
    name: str = world.random.choice(found)["metadata"]["name"]
    return name


def _some_host(world: World, fits: Callable[[HostPart], bool]) -> HostPart | None:
    found = [each for each in world.hosts.values() if fits(each)]
    return world.random.choice(found) if found else None


def _change_host(world: World, spec: dict[str, object]) -> str | None:
    host = world.random.choice(list(world.hosts))
    if world.host_object(host) is None:
        return None
    world.api.patch(HOSTS, host, {"spec": spec})
    return f"the Host {host} gets {spec}"


def _makes_orphans(world: World, namespace: str) -> bool:
    """Tell whether orders there have no Guest any more: after a deletion by force they are all that tells of a guest.

    Who deletes such an order too leaves a machine that runs on, since absence is no order. Only a look at what hosts hold
    can find it; histories leave it out.
    """
    known = {guest_id_of(each) for each in world.api.objects(GUESTS)}
    orders = world.api.objects(ASSIGNMENTS, namespace=namespace)
    return any(each["spec"]["guestId"] not in known for each in orders)


def _to_a_machine(world: World, what: str) -> str | None:
    machines = [(host, guest) for host in world.hosts.values() for guest in sorted(host.driver.running())]
    if not machines:
        return None
    host, guest_id = world.random.choice(machines)
    getattr(host.driver, what)(guest_id)
    return f"{what} of {guest_id} on {host.host}"
