"""Which host: every rule, the words for why not, and the choice."""

import dataclasses

import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement, schedule
from innkeeper.domain.scheduling.facts import HostFacts, Request
from innkeeper.domain.scheduling.rules.registry import RULES

GIB = 1024**3
SMALL = Amounts(1000, GIB, 10 * GIB)
HOST = HostFacts(
    name="a", cluster="lab", labels={"rack": "r1"}, allocatable=Amounts(8000, 16 * GIB, 200 * GIB)
)
REQUEST = Request(guest_id="g", amounts=SMALL)


def request(**changes: object) -> Request:
    return dataclasses.replace(REQUEST, **changes)  # type: ignore[arg-type] # a test's own short form


def host(name: str = "a", **changes: object) -> HostFacts:
    return dataclasses.replace(HOST, name=name, **changes)  # type: ignore[arg-type] # a test's own short form


@pytest.mark.parametrize(
    ("asked", "facts", "lacks"),
    [
        (request(cluster="far"), host(), "in another cluster"),
        (request(clusters=frozenset({"far"})), host(), "in a cluster that the pool does not serve"),
        (request(host_labels={"rack": "r2"}), host(), "without the labels of hostSelector"),
        (request(host_labels={"gpu": "yes"}), host(), "without the labels of hostSelector"),
        (REQUEST, host(leaving=True), "deleted or lost"),
        (REQUEST, host(ready=False), "not ready"),
        (REQUEST, host(unschedulable=True), "unschedulable"),
        (request(avoid=frozenset({"a"})), host(), "refused it lately"),
        (request(amounts=Amounts(8001, GIB, GIB)), host(), "short of cpu"),
        (request(amounts=Amounts(1000, 17 * GIB, GIB)), host(), "short of memory"),
        (request(amounts=Amounts(1000, GIB, 201 * GIB)), host(), "short of disk"),
        (REQUEST, host(promised=Amounts(0, 16 * GIB - 1, 0)), "short of memory"),
        (REQUEST, host(allocatable=Amounts()), "short of cpu"),
    ],
)
def test_each_rule_says_what_a_host_lacks(asked: Request, facts: HostFacts, lacks: str) -> None:
    assert schedule(asked, [facts]) == NoHostFits(f"0 of 1 hosts fit: 1 {lacks}")


def test_a_host_that_fits_exactly_is_taken() -> None:
    full = host(promised=HOST.allocatable - SMALL)
    assert schedule(REQUEST, [full]) == Placement("a", "lab")


def test_hosts_are_counted_by_the_first_rule_that_they_fail() -> None:
    hosts = [
        *(host(f"m{number}", allocatable=Amounts(8000, 0, 200 * GIB)) for number in range(7)),
        *(host(f"u{number}", unschedulable=True, allocatable=Amounts()) for number in range(3)),
        host("f", cluster="far", ready=False),
    ]
    asked = request(cluster="lab")
    assert schedule(asked, hosts) == NoHostFits(
        "0 of 11 hosts fit: 7 short of memory, 3 unschedulable, 1 in another cluster"
    )


def test_without_hosts_it_says_what_to_do() -> None:
    found = schedule(REQUEST, [])
    assert isinstance(found, NoHostFits)
    assert "create a Host" in found.message


def test_guests_spread_to_the_emptier_host() -> None:
    hosts = [host("full", promised=Amounts(0, 12 * GIB, 0)), host("empty")]
    assert schedule(REQUEST, hosts) == schedule(REQUEST, hosts[::-1]) == Placement("empty", "lab")


def test_equal_hosts_are_told_apart_by_the_guest_and_always_alike() -> None:
    hosts = [host(f"h{number}") for number in range(8)]
    chosen = {schedule(request(guest_id=f"g{number}"), hosts) for number in range(50)}
    assert len(chosen) > 4, "guests do not all go to the same one of equal hosts"
    assert all(
        schedule(request(guest_id="g1"), order) == schedule(request(guest_id="g1"), hosts)
        for order in (hosts[::-1], hosts[3:] + hosts[:3])
    )


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
