"""Wishes among more hosts than are scored: the few hosts that meet one are found all the same."""

from dataclasses import replace

import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.cycle import ENOUGH, Placement, ranked
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.domain.scheduling.request import Request, Term, Wish
from innkeeper.domain.scheduling.shortlist import Shortlists
from innkeeper.views.placement import Taint
from tests.unit.domain.scheduling.test_rules import ASK, HOST, WEB, a_fleet, web

HOSTS = 3000
GUESTS = 60
AVOIDED = (Taint(key="old", effect="PreferNoSchedule"),)
FULL = Amounts(HOST.allocatable.cpu_millis, 0, 0)
NEAR_WEB = replace(ASK, wishes=(Wish(Term(WEB, "zone"), 100),))
EVENLY = replace(ASK, labels=(("app", "web"),), spread_wishes=(Term(WEB, "zone"),))


def a_large_fleet(*rare: int, zone: str = "a", tainted: bool = False) -> Fleet:
    """All hosts are alike, but for a few in a zone of their own, or, where the others are tainted, without a taint."""
    usual = replace(HOST, labels={"zone": "most"}, taints=AVOIDED if tainted else ())
    other = replace(HOST, labels={"zone": zone})
    names = [f"h{number:04}" for number in range(HOSTS)]
    return a_fleet(*(replace(other if at in rare else usual, name=name) for at, name in enumerate(names)))


def places(fleet: Fleet, request: Request, *, guests: int = GUESTS) -> list[str]:
    """Place guests one after another; return their hosts."""
    shortlists, found = Shortlists(fleet), []
    for number in range(guests):
        decision = shortlists.decide(request, seed=number * 7919)
        assert isinstance(decision, Placement)
        made = Resident(host=decision.host, amounts=ASK.amounts, namespace="n", labels=dict(request.labels))
        fleet.reserve(f"g{number}", made)
        found.append(decision.host)
    return found


@pytest.mark.parametrize("begin", [0, 1500, HOSTS - 20])
def test_a_wished_for_rack_is_found_wherever_it_lies(begin: int) -> None:
    fleet = a_large_fleet(*range(begin, begin + 20))
    fleet.reserve("cache", web(f"h{begin:04}"))
    assert set(places(fleet, NEAR_WEB)) <= {f"h{at:04}" for at in range(begin, begin + 20)}


def test_guests_go_elsewhere_once_a_wished_for_rack_is_full() -> None:
    fleet = a_large_fleet(7)
    fleet.reserve("cache", web("h0007", amounts=FULL))
    assert "h0007" not in places(fleet, NEAR_WEB, guests=3)


def test_hosts_without_a_taint_go_before_those_that_have_one() -> None:
    rare = range(HOSTS - 40, HOSTS)
    assert set(places(a_large_fleet(*rare, tainted=True), ASK)) <= {f"h{at:04}" for at in rare}


def test_the_emptiest_zone_is_found_however_small() -> None:
    fleet = a_large_fleet(2990, 2991, zone="small")
    fleet.reserve("first", web("h0000"))
    fleet.reserve("second", web("h0001"))
    assert set(places(fleet, EVENLY, guests=1)) <= {"h2990", "h2991"}


def test_no_more_are_scored_than_there_is_reason_for() -> None:
    rows, _ = ranked(ASK, a_large_fleet(5, 6), seed=1)
    assert rows.size == ENOUGH


def test_guests_keep_away_where_nearly_all_hosts_are_in_a_zone_to_avoid() -> None:
    fleet = a_large_fleet(2990, 2991)
    fleet.reserve("loud", web("h0000"))
    away = replace(ASK, wishes=(Wish(Term(WEB, "zone"), -100),))
    assert set(places(fleet, away, guests=4)) <= {"h2990", "h2991"}
