"""Fleets that are nearly full, and requests of four sorts. Everything comes from one seed."""

import random
from collections.abc import Callable

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import ClusterFacts, HostFacts, Resident
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.domain.scheduling.request import Group, Request, SpreadLimit, Term, Wish
from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector
from innkeeper.views.placement import Taint

GIB = 2**30
MACHINE = Amounts(64_000, 256 * GIB, 4096 * GIB)
NAMESPACE = "default"
ZONES, RACK = 7, 40
TAINTS = (Taint(key="gpu", effect="NoSchedule"),)
SOFT = (Taint(key="old", effect="PreferNoSchedule"),)
Make = Callable[[int], Request]


def fleet(hosts: int, seed: random.Random) -> Fleet:
    """Return hosts in ten clusters that have promised 70 to 95 % of what they may, some tainted, all labelled."""
    made = Fleet()
    for number in range(10):
        made.put_cluster(ClusterFacts(name=f"c{number}", labels={"tier": str(number % 2)}))
    for number in range(hosts):
        labels = {
            "zone": f"z{number % ZONES}",
            "rack": f"r{number // RACK}",
            "disk": "nvme" if number % 3 else "hdd",
        }
        taints = TAINTS if number % 20 == 0 else SOFT if number % 11 == 0 else ()
        made.put_host(
            HostFacts(
                name=f"h{number}",
                cluster=f"c{number % 10}",
                labels=labels,
                taints=taints,
                allocatable=MACHINE,
            )
        )
        part = seed.uniform(0.70, 0.95)
        taken = Amounts(
            int(MACHINE.cpu_millis * part), int(MACHINE.memory_bytes * part), int(MACHINE.disk_bytes * part)
        )
        app = {"app": f"a{number % 200}"}
        resident = Resident(host=f"h{number}", amounts=taken, namespace=NAMESPACE, labels=app)
        made.reserve(f"first-{number}", resident)
    _speak_of_guests(made)
    return made


def _speak_of_guests(made: Fleet) -> None:
    """Have several terms counted, as after other guests asked for them."""
    for number in range(8):
        made.crowd.members(_group(f"a{number}")).places("zone")
    keeper = Term(_group("kept-out"), "rack")
    made.reserve("keeper", Resident(host="h1", amounts=Amounts(), namespace=NAMESPACE, apart=(keeper,)))


def _group(app: str) -> Group:
    return Group(NAMESPACE, Selector((Requirement("app", Operator.IN, frozenset((app,))),)))


def _amounts(number: int) -> Amounts:
    return Amounts(500 + number % 997, GIB + number, 10 * GIB)


def plain(number: int) -> Request:
    """Return a request for room; no two are alike."""
    return Request(amounts=_amounts(number), namespace=NAMESPACE)


def selector(number: int) -> Request:
    """Return a request for hosts of a zone that are no old disks."""
    wanted = (
        Requirement("zone", Operator.IN, frozenset((f"z{number % ZONES}",))),
        Requirement("disk", Operator.NOT_IN, frozenset(("hdd",))),
    )
    return Request(amounts=_amounts(number), namespace=NAMESPACE, host_selector=Selector(wanted))


def anti_affinity(number: int) -> Request:
    """Return a request of a guest that keeps its like off its host, spreads over zones and has a wish."""
    app = f"apart-{number % 20}"
    group = _group(app)
    return Request(
        amounts=_amounts(number),
        namespace=NAMESPACE,
        labels=(("app", app),),
        apart=(Term(group),),
        spread=(SpreadLimit(Term(group, "zone"), 5),),
        wishes=(Wish(Term(_group(f"a{number % 8}"), "zone"), 10),),
    )


def equal(_: int) -> Request:
    """Return the same request each time."""
    return Request(amounts=Amounts(500, GIB, 10 * GIB), namespace=NAMESPACE)


SORTS: dict[str, Make] = {
    "plain": plain,
    "selector": selector,
    "anti_affinity": anti_affinity,
    "equal": equal,
}
