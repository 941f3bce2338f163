"""Random worlds for the scheduler: hosts, clusters, guests and requests with everything that rules speak of."""

from dataclasses import replace

from hypothesis import strategies as st

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import ClusterFacts, HostFacts, Resident, Strategy
from innkeeper.domain.scheduling.request import (
    EVERYTHING,
    Effect,
    Group,
    Request,
    SpreadLimit,
    Term,
    Tolerance,
    Wish,
)
from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector
from innkeeper.views.placement import CLUSTER_TOPOLOGY, HOST_TOPOLOGY, Taint

CLUSTERS = ("c1", "c2")
NAMESPACES = ("m", "n")
HOSTS = tuple(f"h{number}" for number in range(10))
values = st.sampled_from(("a", "b", "c"))
clusters = st.sampled_from(CLUSTERS)


def _labels(*keys: str) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.sampled_from(keys), values, max_size=len(keys))


def _requirements(*keys: str) -> st.SearchStrategy[Requirement]:
    some = st.frozensets(values, min_size=1, max_size=2)
    chosen = st.builds(
        Requirement, st.sampled_from(keys), st.sampled_from((Operator.IN, Operator.NOT_IN)), some
    )
    there = st.builds(
        Requirement, st.sampled_from(keys), st.sampled_from((Operator.EXISTS, Operator.DOES_NOT_EXIST))
    )
    return chosen | there


def _selectors(*keys: str, least: int = 1) -> st.SearchStrategy[Selector]:
    found = st.lists(_requirements(*keys), min_size=least, max_size=2)
    return found.map(lambda each: Selector(tuple(each)))


def _tuples(of: st.SearchStrategy, most: int) -> st.SearchStrategy[tuple]:  # type: ignore[type-arg] # of anything
    return st.just(()) | st.lists(of, max_size=most).map(tuple)


taints = st.builds(
    Taint, key=st.sampled_from(("x", "y")), effect=st.sampled_from(Effect), value=st.sampled_from(("", "v"))
)
host_labels = _labels("zone", "rack")
guest_labels = _labels("app", "part", "name")
guest_labels = _labels("app", "part", "name")
hosts = st.builds(
    HostFacts,
    name=st.sampled_from(HOSTS),
    cluster=clusters,
    labels=host_labels,
    taints=_tuples(taints, 2),
    ready=st.integers(0, 9).map(bool),
    unschedulable=st.integers(0, 9).map(lambda number: number == 0),
    maintenance=st.integers(0, 9).map(lambda number: number == 0),
    leaving=st.integers(0, 19).map(lambda number: number == 0),
    allocatable=st.builds(Amounts, st.sampled_from((0, 4, 8)), st.sampled_from((4, 8)), st.just(8)),
    images=st.dictionaries(st.sampled_from(("i", "j")), st.sampled_from((25, 50, 100)), max_size=2),
)
cluster_facts = st.builds(
    ClusterFacts, name=clusters, labels=_labels("tier"), strategy=st.sampled_from(Strategy)
)


def terms(namespace: str) -> st.SearchStrategy[Term]:
    """Return terms about guests of a namespace: a guest speaks of its own alone."""
    groups = st.builds(Group, st.just(namespace), _selectors("app", "part"))
    return st.builds(
        Term, groups, st.sampled_from((HOST_TOPOLOGY, CLUSTER_TOPOLOGY, "zone", "rack", "nokey"))
    )


@st.composite
def residents(draw: st.DrawFn) -> Resident:
    """Return a guest that some host has, whether it fits or not."""
    namespace = draw(st.sampled_from(NAMESPACES))
    return Resident(
        host=draw(st.sampled_from(HOSTS)),
        amounts=Amounts(draw(st.integers(0, 2)), draw(st.integers(0, 2)), 0),
        namespace=namespace,
        labels=draw(_labels("app", "part")),
        apart=draw(_tuples(terms(namespace), 1)),
    )


tolerations = st.builds(
    Tolerance,
    st.sampled_from(("", "x", "y")),
    st.none() | st.sampled_from(("", "v")),
    st.none() | st.sampled_from(Effect),
)


def _wishes(namespace: str) -> dict[str, st.SearchStrategy[object]]:
    """Return what a request may ask beside room. It asks for little of it, or nothing would ever fit."""
    term = terms(namespace)
    wish = st.builds(Wish, term, st.sampled_from((-5, 3, 9)))
    return {
        "cluster": clusters | st.just("nowhere"),
        "image": st.sampled_from(("i", "j", "nobody has it")),
        "cluster_selector": _selectors("tier"),
        "host_selector": _selectors("zone", "rack", "nokey"),
        "clusters": st.frozensets(clusters),
        "addresses_free": st.just(value=False),
        "mac_in_use": st.frozensets(clusters, min_size=1),
        "tolerations": st.lists(tolerations, min_size=1, max_size=2).map(tuple),
        "avoid": st.frozensets(st.sampled_from(HOSTS), min_size=1, max_size=3),
        "near": st.lists(term, min_size=1, max_size=2).map(tuple),
        "apart": st.lists(term, min_size=1, max_size=2).map(tuple),
        "spread": st.builds(SpreadLimit, term, st.integers(1, 2)).map(lambda limit: (limit,)),
        "wishes": st.lists(wish, min_size=1, max_size=2).map(tuple),
        "spread_wishes": st.lists(term, min_size=1, max_size=2).map(tuple),
    }


plain_requests = st.builds(Request, amounts=st.just(Amounts(1, 1, 0)), namespace=st.sampled_from(NAMESPACES))
"""Requests that nothing but room, or another guest's wish, can rule out."""


@st.composite
def requests_about_places(draw: st.DrawFn) -> Request:
    """Return a request that little but the places of other guests of its namespace rules out; some have wishes, too."""
    namespace = draw(st.sampled_from(NAMESPACES))
    term = Term(Group(namespace, EVERYTHING), draw(st.sampled_from(("zone", "rack", CLUSTER_TOPOLOGY))))
    wishes: dict[str, tuple[object, ...]] = {
        "near": (term,),
        "apart": (term,),
        "spread": (SpreadLimit(term),),
        "tolerations": (),
    }
    wanted = draw(st.sampled_from(sorted(wishes)))
    soft = draw(st.booleans())
    return replace(
        Request(
            amounts=Amounts(1, 1, 0),
            namespace=namespace,
            wishes=(Wish(term, 3),) if soft else (),
            spread_wishes=(term,) if soft else (),
        ),
        **{wanted: wishes[wanted]},  # type: ignore[arg-type] # each has its field's type
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Return a request with none to three wishes."""
    namespace = draw(st.sampled_from(NAMESPACES))
    wishes = _wishes(namespace)
    wanted = draw(st.lists(st.sampled_from(sorted(wishes)), max_size=3, unique=True))
    return Request(
        amounts=Amounts(draw(st.integers(0, 2)), draw(st.integers(1, 2)), 0),
        namespace=namespace,
        labels=tuple(sorted(draw(_labels("app", "part")).items())),
        **{name: draw(wishes[name]) for name in wanted},  # type: ignore[arg-type] # each has its field's type
    )
