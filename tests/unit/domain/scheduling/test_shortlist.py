"""Equal requests are a batch: the fleet is looked through once, whether they fit or not."""

from dataclasses import replace

import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.request import Group, Request, Term, Wish
from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector
from innkeeper.domain.scheduling.shortlist import Shortlists
from innkeeper.views.placement import CLUSTER_TOPOLOGY, HOST_TOPOLOGY
from tests.unit.domain.scheduling.test_rules import ASK, GIB, HOST, WEB, a_fleet, web

HOSTS = [replace(HOST, name=f"h{number:03}") for number in range(400)]
GUESTS = 1000


class Scans:
    """How often the whole fleet was looked through."""

    def __init__(self) -> None:
        self.decided = 0
        self.counted = 0


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Scans:
    found = Scans()
    ranked, counted = cycle.ranked, cycle.no_host_fits

    def note_ranked(*arguments: object, **named: object) -> object:
        found.decided += 1
        return ranked(*arguments, **named)  # type: ignore[arg-type] # as it was called

    def note_counted(*arguments: object) -> object:
        found.counted += 1
        return counted(*arguments)  # type: ignore[arg-type] # as it was called

    monkeypatch.setattr(cycle, "ranked", note_ranked)
    monkeypatch.setattr(cycle, "no_host_fits", note_counted)
    return found


@pytest.mark.parametrize(
    "asks",
    [ASK, replace(ASK, wishes=(Wish(Term(WEB), 5),), spread_wishes=(Term(WEB),))],
    ids=["plain", "with wishes"],
)
def test_equal_guests_that_fit_nowhere_cost_one_scan(scans: Scans, asks: Request) -> None:
    fleet = a_fleet(*HOSTS)
    shortlists = Shortlists(fleet)
    large = replace(asks, amounts=Amounts(9000, GIB, GIB))
    answers = set()
    for seed in range(GUESTS):
        answers.add(shortlists.decide(large, seed=seed))
        fleet.reserve(f"g{seed}", web(HOSTS[0].name))
    assert answers == {NoHostFits("0 of 400 hosts fit: 400 lack cpu")}
    assert (scans.decided, scans.counted) == (1, 1)
    fleet.put_host(replace(HOST, name="larger", allocatable=Amounts(16000, 16 * GIB, 100 * GIB)))
    assert shortlists.decide(large, seed=0) == Placement("larger", "lab")


def named(asks: Request, number: int) -> Request:
    """Ask as one of many guests that have a label of their own."""
    return replace(asks, labels=(*asks.labels, ("instance", f"vm-{number}")))


def test_guests_with_labels_of_their_own_that_fit_nowhere_cost_one_scan(scans: Scans) -> None:
    fleet = a_fleet(*HOSTS)
    shortlists = Shortlists(fleet)
    large = replace(ASK, amounts=Amounts(9000, GIB, GIB))
    answers = {shortlists.decide(named(large, number), seed=number) for number in range(GUESTS)}
    assert answers == {NoHostFits("0 of 400 hosts fit: 400 lack cpu")}
    assert (scans.decided, scans.counted) == (1, 1)


def test_a_label_of_their_own_that_some_guest_looks_at_tells_guests_apart() -> None:
    fleet = a_fleet(HOST)
    shortlists = Shortlists(fleet)
    found = [shortlists.decide(named(ASK, number), seed=number) for number in (1, 2)]
    assert found == [Placement(HOST.name, HOST.cluster)] * 2
    second = Group("n", Selector((Requirement("instance", Operator.IN, frozenset({"vm-2"})),)))
    fleet.reserve("keeper", Resident(host=HOST.name, amounts=Amounts(), namespace="n", apart=(Term(second),)))
    for number, fits in ((2, False), (1, True), (2, False), (3, True)):
        assert isinstance(shortlists.decide(named(ASK, number), seed=number), Placement) is fits
    fleet.release("keeper")
    assert isinstance(shortlists.decide(named(ASK, 2), seed=2), Placement)


@pytest.mark.parametrize("own", [False, True], ids=["with equal labels", "with labels of their own"])
def test_a_burst_of_equal_guests_costs_a_few_scans(scans: Scans, *, own: bool) -> None:
    fleet = a_fleet(*HOSTS)
    shortlists = Shortlists(fleet)
    for number in range(GUESTS):
        found = shortlists.decide(named(ASK, number) if own else ASK, seed=number)
        assert isinstance(found, Placement)
        fleet.reserve(f"g{number}", Resident(host=found.host, amounts=ASK.amounts))
    assert scans.decided <= 2 * GUESTS / cycle.ENOUGH + 2
    assert scans.counted == 0
    assert max(fleet.count(host.name) for host in HOSTS) <= HOST.allocatable.cpu_millis // 1000


ASK_WEB = replace(ASK, labels=(("app", "web"),))


@pytest.mark.parametrize("key", [HOST_TOPOLOGY, "rack", CLUSTER_TOPOLOGY])
def test_a_keeper_that_comes_keeps_equal_guests_out_of_its_whole_place(key: str) -> None:
    """The term of the keeper is there already: what is new is its place."""
    hosts = [
        replace(HOST, name=f"{place}{number}", cluster=place, labels={"rack": place})
        for place in ("a", "b", "c")
        for number in range(4)
    ]
    fleet = a_fleet(*hosts)
    db = Resident(host="a0", amounts=Amounts(1, 1, 1), namespace="n", apart=(Term(WEB, key),))
    fleet.reserve("db-1", db)
    shortlists = Shortlists(fleet)
    places = []
    for number in range(8):
        if number == 1:
            fleet.reserve("db-2", replace(db, host="b0"))
        found = shortlists.decide(ASK_WEB, seed=number)
        assert isinstance(found, Placement)
        fleet.reserve(f"web-{number}", web(found.host, amounts=ASK_WEB.amounts))
        places.append(found.host)
    kept_out = {"a0", "b0"} if key == HOST_TOPOLOGY else {each.name for each in hosts if each.cluster != "c"}
    assert not kept_out & set(places[1:])
