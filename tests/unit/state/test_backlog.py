"""Who waits for room: woken by what could help, the first of each line alone, by priority and then by age."""

from dataclasses import dataclass, replace

import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement
from innkeeper.domain.scheduling.facts import ClusterFacts, HostFacts, Resident
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.domain.scheduling.request import Group, Request, SpreadLimit, Term, Wish
from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector
from innkeeper.state.backlog import Backlog
from innkeeper.views.placement import Taint

HOST = HostFacts(name="h", cluster="lab", allocatable=Amounts(4, 4, 4))
SMALL = Request(amounts=Amounts(1, 1, 1), namespace="n")
LARGE = Request(amounts=Amounts(4, 4, 4), namespace="n")
A, B, C = ("n", "a"), ("n", "b"), ("n", "c")


def full(amounts: Amounts = Amounts(4, 4, 4)) -> Fleet:  # noqa: B008 - immutable
    """Return a fleet with one host, which a guest `first` fills."""
    fleet = Fleet()
    fleet.put_cluster(ClusterFacts(name="lab"))
    fleet.put_host(HOST)
    fleet.reserve("first", Resident(host="h", amounts=amounts))
    return fleet


def waiting(fleet: Fleet, *guests: tuple[tuple[str, str], Request, tuple[int, str]]) -> Backlog:
    backlog = Backlog(fleet)
    for guest in guests:
        backlog.wait(*guest)
    fleet.gains.take()
    return backlog


def helped(backlog: Backlog) -> list[tuple[str, str]]:
    return [key for part in backlog.helped() for key in part]


def test_only_the_first_of_equal_guests_is_woken() -> None:
    fleet = full()
    backlog = waiting(fleet, (A, SMALL, (0, "3")), (B, SMALL, (0, "1")), (C, SMALL, (-9, "9")))
    fleet.release("first")
    assert helped(backlog) == [C], "the higher priority, however young"
    assert helped(backlog) == [], "nothing changed since"
    assert [backlog.leave(C), backlog.leave(B), backlog.leave(A)] == [B, A, None]
    assert len(backlog) == 0


def test_a_guest_that_goes_while_it_waits_leaves_its_place_to_the_next() -> None:
    backlog = waiting(full(), (A, SMALL, (0, "1")), (B, SMALL, (0, "2")))
    assert backlog.leave(A) == B
    assert backlog.leave(A) is None


def test_nobody_behind_a_guest_that_rests_is_next_until_it_looked() -> None:
    fleet = full()
    backlog = waiting(fleet, (A, SMALL, (0, "1")), (B, SMALL, (0, "2")), (C, SMALL, (0, "3")))
    assert backlog.leave(A) == B
    assert backlog.rest(A, SMALL, (0, "1"), until=5) is None
    fleet.release("first")
    assert helped(backlog) == [], "it looks by itself"
    assert [backlog.behind_until(each) for each in (A, B, C)] == [None, 5, 5]
    assert backlog.leave(C) is None
    assert len(backlog) == 1, "it waits for no room"
    assert backlog.leave(A) == B


def test_a_guest_that_rests_holds_up_nobody_before_it() -> None:
    fleet = full()
    backlog = waiting(fleet, (A, SMALL, (0, "1")), (B, SMALL, (0, "2")))
    backlog.rest(B, SMALL, (0, "2"), until=5)
    fleet.release("first")
    assert helped(backlog) == [A]
    backlog.wait(B, SMALL, (0, "2"))
    assert backlog.leave(A) == B


def test_too_little_room_wakes_only_those_that_it_could_help() -> None:
    fleet = full(Amounts(2, 2, 2))
    fleet.reserve("second", Resident(host="h", amounts=Amounts(2, 2, 2)))
    backlog = waiting(fleet, (A, LARGE, (-5, "1")), (B, SMALL, (0, "2")))
    fleet.release("second")
    assert helped(backlog) == [B], "a guest that does not fit never blocks another"


SELECTS = Selector((Requirement("disk", Operator.IN, frozenset({"nvme"})),))
EMPTY = replace(HOST, name="e")


@pytest.mark.parametrize(
    ("before", "after", "asks"),
    [
        (replace(EMPTY, maintenance=True), EMPTY, SMALL),
        (replace(EMPTY, unschedulable=True), EMPTY, SMALL),
        (replace(EMPTY, ready=False), EMPTY, SMALL),
        (replace(EMPTY, taints=(Taint(key="gpu", effect="NoSchedule"),)), EMPTY, SMALL),
        (EMPTY, replace(EMPTY, labels={"disk": "nvme"}), replace(SMALL, host_selector=SELECTS)),
        (replace(EMPTY, allocatable=Amounts(3, 4, 4)), EMPTY, LARGE),
        (None, EMPTY, LARGE),
    ],
    ids=["maintenance", "unschedulable", "ready", "taint", "label", "capacity", "new"],
)
def test_what_helps_wakes(before: HostFacts | None, after: HostFacts, asks: Request) -> None:
    fleet = full()
    if before is not None:
        fleet.put_host(before)
    backlog = waiting(fleet, (A, asks, (0, "1")))
    assert helped(backlog) == []
    fleet.put_host(after)
    assert helped(backlog) == [A]


@pytest.mark.parametrize(
    "change",
    [
        replace(HOST, labels={"x": "y"}),
        replace(HOST, name="other", maintenance=True),
        replace(HOST, name="other", cluster="elsewhere"),
        HOST,
    ],
    ids=["labels of a full host", "a closed host", "a host elsewhere", "nothing"],
)
def test_what_does_not_help_wakes_nobody(change: HostFacts) -> None:
    fleet = full()
    backlog = waiting(fleet, (A, replace(SMALL, cluster="lab"), (0, "1")))
    fleet.put_host(change)
    assert helped(backlog) == []


def test_a_cluster_that_changes_wakes() -> None:
    fleet = full(Amounts())
    backlog = waiting(fleet, (A, replace(SMALL, cluster_selector=SELECTS), (0, "1")))
    fleet.put_cluster(ClusterFacts(name="lab", labels={"disk": "nvme"}))
    assert helped(backlog) == [A]


WEB = Group("n", Selector((Requirement("app", Operator.IN, frozenset({"web"})),)))
WEB_GUEST = Resident(host="h", amounts=Amounts(), namespace="n", labels={"app": "web"})


def test_a_guest_that_wants_company_is_woken_when_company_comes() -> None:
    fleet = full(Amounts())
    backlog = waiting(fleet, (A, replace(SMALL, near=(Term(WEB),)), (0, "1")))
    fleet.reserve("db", replace(WEB_GUEST, namespace="m"))
    assert helped(backlog) == []
    fleet.reserve("web", WEB_GUEST)
    assert helped(backlog) == [A]


HUGE = replace(SMALL, amounts=Amounts(5, 5, 5))
WISHES = replace(HUGE, wishes=(Wish(Term(WEB), 5),), spread_wishes=(Term(WEB),))


@pytest.mark.parametrize(
    ("asks", "by_arrival", "by_departure"),
    [
        (WISHES, False, False),
        (replace(HUGE, apart=(Term(WEB),)), False, True),
        (replace(HUGE, near=(Term(WEB),)), True, True),
        (replace(HUGE, spread=(SpreadLimit(Term(WEB)),)), True, True),
    ],
    ids=["wishes", "apart", "near", "spread"],
)
def test_who_comes_and_who_goes_wakes_those_alone_whom_it_can_help(
    asks: Request, *, by_arrival: bool, by_departure: bool
) -> None:
    fleet = full(Amounts())
    backlog = waiting(fleet, (A, asks, (0, "1")))
    fleet.reserve("web", WEB_GUEST)
    assert helped(backlog) == [A] * by_arrival
    fleet.release("web")
    assert helped(backlog) == [A] * by_departure


def test_a_guest_that_loses_its_label_wakes_who_is_to_be_apart_from_it() -> None:
    fleet = full(Amounts())
    fleet.reserve("web", WEB_GUEST)
    asks = replace(SMALL, apart=(Term(WEB),))
    backlog = waiting(fleet, (A, asks, (0, "1")))
    fleet.reserve("web", replace(WEB_GUEST, labels={"app": "db"}))
    assert helped(backlog) == [A]
    assert cycle.decide(asks, fleet, seed=0) == Placement("h", "lab")


def test_a_guest_that_was_kept_out_of_a_zone_is_woken_when_who_kept_it_out_goes() -> None:
    fleet = full()
    fleet.put_host(replace(EMPTY, labels={"zone": "a"}))
    fleet.put_host(replace(EMPTY, name="k", labels={"zone": "a"}, allocatable=Amounts()))
    keeper = replace(WEB_GUEST, host="k", labels={}, apart=(Term(WEB, "zone"),))
    fleet.reserve("keeper", keeper)
    backlog = waiting(fleet, (A, replace(SMALL, labels=(("app", "web"),)), (0, "1")))
    fleet.release("keeper")
    assert helped(backlog) == [A], "the room is on another host than the guest that left"


def test_a_guest_whose_wishes_change_stands_in_one_line_only() -> None:
    fleet = full()
    backlog = waiting(fleet, (A, SMALL, (0, "1")))
    assert backlog.wait(A, LARGE, (0, "1")) is None
    assert len(backlog) == 1
    fleet.release("first")
    assert helped(backlog) == [A]


def test_a_guest_that_waits_for_something_else_leaves_its_place_to_the_next() -> None:
    backlog = waiting(full(), (A, SMALL, (0, "1")), (B, SMALL, (0, "2")), (C, SMALL, (0, "3")))
    assert backlog.wait(A, SMALL, (0, "1")) is None, "it stands where it stood"
    assert backlog.wait(A, LARGE, (0, "1")) == B
    assert backlog.wait(B, LARGE, (0, "2")) == C


def test_guests_that_a_newcomer_tells_apart_by_a_label_all_have_a_look() -> None:
    """Nobody looked at the label while they came to wait, so they wait in one line."""
    fleet = full()
    tiers = {key: replace(SMALL, labels=(("tier", key[1]),)) for key in (A, B, C)}
    lines = {key: fleet.crowd.in_common(asks) for key, asks in tiers.items()}
    assert len(set(lines.values())) == 1
    backlog = waiting(fleet, *((key, line, (0, key[1])) for key, line in lines.items()))
    fleet.put_host(EMPTY)
    assert helped(backlog) == [A]
    others = Selector((Requirement("tier", Operator.NOT_IN, frozenset({"b"})),))
    fleet.reserve(
        "k", Resident(host="e", amounts=Amounts(), namespace="n", apart=(Term(Group("n", others)),))
    )
    assert helped(backlog) == [A], "it may be kept out now, and others not"
    assert backlog.wait(A, fleet.crowd.in_common(tiers[A]), (0, "a")) == B
    assert backlog.leave(B) == C
    assert backlog.wait(C, fleet.crowd.in_common(tiers[C]), (0, "c")) is None
    assert helped(backlog) == []
    fleet.release("k")
    assert helped(backlog) == [A, C]


ASKS_WEB = replace(SMALL, labels=(("app", "web"),))
ELSEWHERE = replace(HOST, name="e", labels={"zone": "b"})
NOWHERE = replace(HOST, name="x", allocatable=Amounts())


def in_zone(zone: str, host: HostFacts = NOWHERE) -> HostFacts:
    return replace(host, labels={"zone": zone})


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Hosts, one of which (`moves`: how it is afterwards, None: gone) changes what fits on another, `e` in zone b."""

    id: str
    asks: Request
    hosts: tuple[HostFacts, ...]
    guests: tuple[Resident, ...]
    moves: HostFacts | None


MOVES = [
    Moves(
        id="the emptiest place of a spread goes",
        asks=replace(ASKS_WEB, spread=(SpreadLimit(Term(WEB, "zone")),)),
        hosts=(in_zone("a"), ELSEWHERE),
        guests=(replace(WEB_GUEST, host="e"),),
        moves=None,
    ),
    Moves(
        id="the emptiest place of a spread is another one",
        asks=replace(ASKS_WEB, spread=(SpreadLimit(Term(WEB, "zone")),)),
        hosts=(in_zone("a"), ELSEWHERE),
        guests=(replace(WEB_GUEST, host="e"),),
        moves=in_zone("b"),
    ),
    Moves(
        id="the emptiest place of a spread is lost",
        asks=replace(ASKS_WEB, spread=(SpreadLimit(Term(WEB, "zone")),)),
        hosts=(in_zone("a"), ELSEWHERE),
        guests=(replace(WEB_GUEST, host="e"),),
        moves=replace(in_zone("a"), leaving=True),
    ),
    Moves(
        id="a guest to be apart from moves away with its host",
        asks=replace(SMALL, apart=(Term(WEB, "zone"),)),
        hosts=(in_zone("b"), ELSEWHERE),
        guests=(replace(WEB_GUEST, host="x"),),
        moves=in_zone("a"),
    ),
    Moves(
        id="a guest to be apart from goes with its host",
        asks=replace(SMALL, apart=(Term(WEB, "zone"),)),
        hosts=(in_zone("b"), ELSEWHERE),
        guests=(replace(WEB_GUEST, host="x"),),
        moves=None,
    ),
    Moves(
        id="a guest that keeps this one out moves away with its host",
        asks=ASKS_WEB,
        hosts=(in_zone("b"), ELSEWHERE),
        guests=(Resident(host="x", amounts=Amounts(), namespace="n", apart=(Term(WEB, "zone"),)),),
        moves=in_zone("a"),
    ),
    Moves(
        id="a guest that is wanted near comes with its host",
        asks=replace(SMALL, near=(Term(WEB, "zone"),)),
        hosts=(in_zone("a"), ELSEWHERE),
        guests=(replace(WEB_GUEST, host="x"),),
        moves=in_zone("b"),
    ),
    Moves(
        id="a guest that is wanted near was told of before its host",
        asks=replace(SMALL, near=(Term(WEB, "zone"),)),
        hosts=(ELSEWHERE,),
        guests=(replace(WEB_GUEST, host="x"),),
        moves=in_zone("b"),
    ),
]


@pytest.mark.parametrize("case", MOVES, ids=lambda case: case.id)
def test_a_host_that_moves_or_goes_wakes_whom_that_helps_elsewhere(case: Moves) -> None:
    fleet = full()
    for host in case.hosts:
        fleet.put_host(host)
    for number, guest in enumerate(case.guests):
        fleet.reserve(f"there-{number}", guest)
    assert isinstance(cycle.decide(case.asks, fleet, seed=0), NoHostFits)
    stranger = replace(SMALL, namespace="m", cluster="nowhere")
    backlog = waiting(fleet, (A, case.asks, (0, "1")), (("m", "b"), stranger, (0, "2")))
    if case.moves is None:
        fleet.remove_host("x")
    else:
        fleet.put_host(case.moves)
    assert helped(backlog) == [A]
    assert cycle.decide(case.asks, fleet, seed=0) == Placement("e", "lab")


def test_a_lost_host_holds_no_place_of_a_spread_open() -> None:
    fleet = full(Amounts())
    fleet.put_host(replace(NOWHERE, leaving=True))
    fleet.reserve("kept", WEB_GUEST)
    fleet.reserve("gone with its host", replace(WEB_GUEST, host="x"))
    asks = replace(ASKS_WEB, spread=(SpreadLimit(Term(WEB)),))
    fleet.release("gone with its host")
    assert cycle.decide(asks, fleet, seed=0) == Placement("h", "lab")


def test_many_lines_are_looked_at_in_parts_whether_or_not_they_are_helped() -> None:
    fleet = full()
    lines = [
        (("n", f"g{number:03}"), replace(SMALL, image=str(number)), (0, str(number))) for number in range(100)
    ]
    elsewhere = [(("n", f"e{key[1]}"), replace(asks, cluster="no"), (1, "")) for key, asks, _ in lines]
    backlog = waiting(fleet, *lines, *elsewhere)
    fleet.release("first")
    parts = list(backlog.helped())
    assert sum(map(len, parts)) == 100
    assert max(map(len, parts)) < 50
    assert [] in parts, "who is not helped holds up nobody, too"
