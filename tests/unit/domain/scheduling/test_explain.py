"""What is explained is what is decided: the same host out of many, and scores of all that fit."""

from dataclasses import replace

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.explain import explain, verdicts
from innkeeper.domain.scheduling.fleet import Fleet
from tests.unit.domain.scheduling.test_rules import ASK, GIB, HOST

HOSTS = 1000


def a_large_fleet() -> Fleet:
    """Each host has a little more room than the one before, so one alone is the best of all."""
    fleet = Fleet()
    for number in range(HOSTS):
        room = Amounts(4000 + number, 16 * GIB, 100 * GIB)
        fleet.put_host(replace(HOST, name=f"h{number:04}", allocatable=room))
    return fleet


def test_the_host_that_is_told_is_the_one_that_is_decided_though_not_all_are_compared() -> None:
    fleet = a_large_fleet()
    seeds = range(0, 8000, 997)
    told = [explain(ASK, fleet, seed=seed).chosen for seed in seeds]
    assert told == [cycle.decide(ASK, fleet, seed=seed) for seed in seeds]
    assert len(set(told)) > 1, "a decision of few out of many depends on where it begins"


def test_scores_of_all_hosts_that_fit_are_told() -> None:
    fleet = a_large_fleet()
    fleet.put_host(replace(HOST, name="full", allocatable=Amounts(1, 1, 1)))
    found = explain(ASK, fleet, seed=5)
    assert (found.hosts, found.fits, found.message) == (HOSTS + 1, HOSTS, "1000 of 1001 hosts fit")
    told = verdicts(ASK, fleet, ["h0999", "full", "no-such-host", "h0000"])
    assert [each.host for each in told] == ["h0999", "full", "h0000"]
    best, full, worst = (each.total for each in told)
    assert full is None
    assert best is not None
    assert worst is not None
    assert best > worst
