"""A recount finds what drifted, tells it by kind and sets it right; where all is well it finds nothing."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import HostFacts, Resident
from innkeeper.domain.scheduling.request import Group, Term
from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector
from innkeeper.kube.informer import Change, key_of
from innkeeper.state.recount import Drift, recount
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host
from tests.kit import objects
from tests.kit.objects import guest_id, view

SIZE = {"cpu": "1", "memory": "1Gi", "disk": "10Gi"}
ONE = Amounts(1000, 1024**3, 10 * 1024**3)
WEB = Group("default", Selector((Requirement("app", Operator.IN, frozenset({"web"})),)))
ZONE = Term(WEB, "zone")


def a_guest(number: int, host: str) -> Guest:
    status = {"host": host, "epoch": 1, "resources": SIZE}
    return view(objects.guest(f"g{number}", number=number, status=status, labels={"app": "web"}), Guest)


def drifted(subset: Subset) -> Counter[Drift]:
    return sum(recount(subset), Counter())


@pytest.fixture
def subset() -> Subset:
    made = Subset()
    for name in ("a", "b"):
        host = view(objects.host(name, labels={"zone": name}), Host)
        made.apply(Change(key_of(host), None, host))
    for number in range(4):
        guest = a_guest(number, "ab"[number % 2])
        made.apply(Change(key_of(guest), None, guest))
    tally = made.fleet.crowd.members(WEB)
    assert tally.places("zone").tolist() == [2, 2, 0]
    return made


def test_nothing_is_found_where_all_is_well(subset: Subset) -> None:
    assert drifted(subset) == Counter()


def test_a_promise_that_nobody_stands_behind_ends(subset: Subset) -> None:
    subset.fleet.reserve("ghost", Resident(host="a", amounts=ONE))
    assert drifted(subset) == {Drift.PROMISE: 1}
    assert subset.promises.host_of("ghost") is None
    assert drifted(subset) == Counter()


def test_a_promise_that_was_lost_is_made_again(subset: Subset) -> None:
    subset.fleet.release(guest_id(1))
    assert drifted(subset) == {Drift.PROMISE: 1}
    assert subset.promises.host_of(guest_id(1)) == "b"
    assert subset.promises.count("b") == 2


def test_a_promise_in_flight_is_left_alone(subset: Subset) -> None:
    guest = view(objects.guest("new", number=9), Guest)
    subset.apply(Change(key_of(guest), None, guest))
    subset.promises.assume(guest_id_of(guest), Resident(host="a", amounts=ONE))
    assert drifted(subset) == Counter()
    assert subset.promises.host_of(guest_id(9)) == "a"


def test_the_sums_of_a_host_are_set_right(subset: Subset) -> None:
    subset.fleet.correct("a", Amounts(1, 2, 3), 7)
    assert drifted(subset) == {Drift.HOST: 1}
    assert (subset.promises.of_host("a"), subset.promises.count("a")) == (ONE + ONE, 2)


def test_the_counts_of_a_group_are_set_right(subset: Subset) -> None:
    tally = subset.fleet.crowd.members(WEB)
    tally.add(0, 3)
    assert drifted(subset) == {Drift.GROUP: 1}
    assert subset.fleet.crowd.members(WEB).places("zone").tolist() == [2, 2, 0]


def test_the_counts_of_who_keeps_others_out_are_set_right(subset: Subset) -> None:
    keeper = Resident(host="a", amounts=ONE, namespace="default", apart=(ZONE,))
    subset.promises.assume("keeper", keeper)
    (space,) = subset.fleet.crowd._namespaces.values()
    space.keepers[ZONE].add(1, 1)
    assert drifted(subset) == {Drift.GROUP: 1}
    assert dict(space.keepers[ZONE].rows.items()) == {0: 1}
    del space.keepers[ZONE]
    assert drifted(subset) == {Drift.GROUP: 1}
    assert space.keepers[ZONE].total == 1


steps = st.lists(
    st.tuples(st.sampled_from(("guest", "gone", "host", "lost")), st.integers(0, 5), st.sampled_from("abc")),
    max_size=40,
)


@given(steps)
def test_nothing_drifts_by_itself(told: list[tuple[str, int, str]]) -> None:
    subset = Subset()
    subset.fleet.crowd.members(WEB).places("zone")
    for what, number, name in told:
        guest = a_guest(number, name)
        if what == "guest":
            subset.apply(Change(key_of(guest), subset.guests.get(key_of(guest)), guest))
        elif what == "gone" and key_of(guest) in subset.guests:
            subset.apply(Change(key_of(guest), subset.guests[key_of(guest)], None))
        elif what == "host":
            subset.fleet.put_host(HostFacts(name=name, cluster="lab", labels={"zone": str(number % 2)}))
        elif what == "lost":
            subset.fleet.remove_host(name)
        assert drifted(subset) == Counter()
