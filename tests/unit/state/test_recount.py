"""A recount finds what drifted, tells it by kind and sets it right; where all is well it finds nothing."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling import crowd
from innkeeper.domain.scheduling.crowd import GROUPS_AT_ONCE, GUESTS_AT_ONCE
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
NAMED = Group("default", Selector((Requirement("n", Operator.EXISTS),)))
ZONE = Term(WEB, "zone")


def a_guest(number: int, host: str, **labels: str) -> Guest:
    status = {"host": host, "epoch": 1, "resources": SIZE}
    labels = {"app": "web", **labels}
    return view(objects.guest(f"g{number}", number=number, status=status, labels=labels), Guest)


def tell(subset: Subset, guest: Guest, *, gone: bool = False) -> None:
    key = key_of(guest)
    subset.apply(Change(key, subset.guests.get(key), None if gone else guest))


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


@pytest.mark.parametrize("number", [1, 1199], ids=["counted already", "not counted yet"])
def test_drift_is_found_while_guests_come_and_go(subset: Subset, number: int) -> None:
    """Each step of the count is followed by a change; what was wrong before is found, and nothing else."""
    for each in range(4, 1200):
        tell(subset, a_guest(each, "ab"[each % 2]))
    crowd = subset.fleet.crowd
    crowd.members(WEB).add(0, 3)
    keeper = Resident(host="a", amounts=ONE, namespace="default", apart=(ZONE,))
    subset.promises.assume("keeper", keeper)
    (space,) = crowd._namespaces.values()
    space.keepers[ZONE].add(1, 1)
    found: Counter[Drift] = Counter()
    for step, drift in enumerate(recount(subset)):
        found += drift
        tell(subset, a_guest(number, "ab"[step % 2], step=str(step)))
        tell(subset, a_guest(2000 + step, "b"))
        tell(subset, a_guest(2, "a"), gone=step % 3 == 0)
    assert found == {Drift.GROUP: 2}
    assert drifted(subset) == Counter()
    assert crowd.members(WEB).total == len(subset.guests)
    assert not crowd._counts


def test_a_host_drifts_by_no_promise_that_moves_while_it_is_counted(subset: Subset) -> None:
    for each in range(4, 1200):
        tell(subset, a_guest(each, "ab"[each % 2]))
    subset.fleet.correct("a", Amounts(1, 2, 3), 7)
    found: Counter[Drift] = Counter()
    for step, drift in enumerate(recount(subset)):
        found += drift
        tell(subset, a_guest(step % 4, "b"))
    assert found == {Drift.HOST: 1}
    assert subset.promises.count("a") + subset.promises.count("b") == len(subset.guests)


def test_no_step_looks_at_more_than_some_guests_for_some_groups(
    subset: Subset, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [
        Group("default", Selector((Requirement("n", Operator.IN, frozenset({str(number)})),)))
        for number in range(3 * GROUPS_AT_ONCE)
    ]
    for each in range(3 * GUESTS_AT_ONCE):
        tell(subset, a_guest(each, "a", n=str(each)))
    for group in groups:
        subset.fleet.crowd.members(group)
    looked = [0]
    matches = Selector.matches

    def counting(self: Selector, labels: Mapping[str, str]) -> bool:
        looked[-1] += 1
        return matches(self, labels)

    monkeypatch.setattr(Selector, "matches", counting)
    looked.extend(0 for _ in recount(subset))
    assert sum(looked) >= 3 * GUESTS_AT_ONCE * 3 * GROUPS_AT_ONCE
    assert max(looked) <= GUESTS_AT_ONCE * GROUPS_AT_ONCE


def test_who_keeps_others_out_is_kept_however_many_groups_are_counted(subset: Subset) -> None:
    for number in range(GROUPS_AT_ONCE + 1):
        chosen = Requirement("n", Operator.IN, frozenset({str(number)}))
        subset.fleet.crowd.members(Group("default", Selector((chosen,))))
    keeper = Resident(host="a", amounts=ONE, namespace="default", apart=(ZONE,))
    subset.promises.assume("keeper", keeper)
    (space,) = subset.fleet.crowd._namespaces.values()
    assert drifted(subset) == Counter()
    assert space.keepers[ZONE].total == 1
    subset.fleet.release("keeper")
    assert ZONE not in space.keepers


steps = st.lists(
    st.tuples(st.sampled_from(("guest", "gone", "host", "lost")), st.integers(0, 5), st.sampled_from("abc")),
    max_size=40,
)


@pytest.mark.parametrize("at_once", [1, GROUPS_AT_ONCE])
@given(told=steps)
def test_nothing_drifts_by_itself(at_once: int, told: list[tuple[str, int, str]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(crowd, "GROUPS_AT_ONCE", at_once)
        patched.setattr(crowd, "GUESTS_AT_ONCE", at_once)
        _tell_all(told)


def _tell_all(told: list[tuple[str, int, str]]) -> None:
    subset = Subset()
    subset.fleet.crowd.members(NAMED)
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
