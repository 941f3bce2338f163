"""Pools and host are chosen together: a guest is placed wherever a slow and obvious search finds a place for it.

And it gets the first pools by name of those whose cluster has room.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper.domain.quantity import Amounts
from innkeeper.kube.informer import Change, key_of
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host
from innkeeper.views.meta import View
from innkeeper.views.network import IPPool
from innkeeper.workers.scheduler import Placed, SchedulerWorker
from tests.kit import objects
from tests.kit.clock import ManualClock

CLUSTERS = ("c1", "c2", "c3")
NETS = ("blue", "red")
SIZE = Amounts(1000, 1 << 30, 1 << 30)
some_clusters = st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=2, unique=True)


@dataclass(frozen=True)
class PoolFacts:
    """A pool: where it serves (None: everywhere), its labels, and how many addresses it gives."""

    clusters: list[str] | None
    nets: list[str]
    free: int


pools = st.builds(
    PoolFacts,
    st.none() | some_clusters,
    st.lists(st.sampled_from(NETS), min_size=1, unique=True),
    st.integers(0, 2),
)
wishes = st.sampled_from((*NETS, "p0", "p1"))  # labels, or a pool by its name


def take(subset: Subset, document: dict[str, Any], kind: type[View]) -> None:
    made = objects.view(document, kind)
    subset.apply(Change(key_of(made), None, made))


def pool(number: int, facts: PoolFacts) -> dict[str, Any]:
    network = f"10.{number}.0"
    given = [f"{network}.{last}" for last in range(2, 7)]
    made = objects.pool(f"p{number}", cidr=f"{network}.0/29", gateway=f"{network}.1", dns=[])
    made["metadata"]["labels"] = dict.fromkeys(facts.nets, "yes")
    made["spec"]["exclude"] = given[facts.free :]
    if facts.clusters is not None:
        made["spec"]["clusters"] = facts.clusters
    return made


def interface(number: int, wish: str) -> dict[str, Any]:
    if wish in NETS:
        return {
            "name": f"eth{number}",
            "addresses": [{"poolSelector": {"matchLabels": {wish: "yes"}}}],
        }
    return {"name": f"eth{number}", "pool": wish}


def first_by_name(
    known: dict[str, PoolFacts], asked: list[str], cluster: str | None, roomy: list[str]
) -> tuple[str, ...] | None:
    """Return the first pools that fit together and serve a cluster with room, found by trying all."""
    choices = [
        [name for name, each in known.items() if wish in each.nets] if wish in NETS else [wish]
        for wish in asked
    ]
    for names in product(*choices):
        enough = all(names.count(each) <= known[each].free for each in names)
        for each in roomy:
            served = all(known[name].clusters is None or each in known[name].clusters for name in names)
            if enough and served and cluster in (None, each):
                return names
    return None


@given(
    some=st.lists(pools, min_size=2, max_size=5),
    asked=st.lists(wishes, min_size=1, max_size=3),
    cluster=st.none() | st.sampled_from(CLUSTERS),
    roomy=st.lists(st.sampled_from(CLUSTERS), unique=True),
)
@settings(max_examples=300, deadline=None)
def test_a_guest_that_fits_somewhere_is_placed_and_gets_the_first_pools_by_name(
    some: list[PoolFacts], asked: list[str], cluster: str | None, roomy: list[str]
) -> None:
    subset = Subset()
    known = {f"p{number}": each for number, each in enumerate(some)}
    for number, each in enumerate(some):
        take(subset, pool(number, each), IPPool)
    for name in CLUSTERS:
        take(subset, objects.host(f"h-{name}", cluster=name, cpu="8" if name in roomy else "0"), Host)
    spec = {
        "interfaces": [interface(number, wish) for number, wish in enumerate(asked)],
        "placement": {"cluster": cluster} if cluster else {},
    }
    guest = objects.view(objects.guest(spec=spec), Guest)
    found = SchedulerWorker(subset, ManualClock()).place(guest, amounts=SIZE)
    pools_got = tuple(each.name for each in found.wanted) if isinstance(found, Placed) else None
    assert pools_got == first_by_name(known, asked, cluster, roomy)
    assert not isinstance(found, Placed) or found.cluster in roomy
