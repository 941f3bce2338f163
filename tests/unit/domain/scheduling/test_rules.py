"""Every rule by itself: which host it rules out, with which reason, and the words that people read."""

from dataclasses import dataclass, field, replace

import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement, decide, no_host_fits
from innkeeper.domain.scheduling.explain import verdicts
from innkeeper.domain.scheduling.facts import ClusterFacts, HostFacts, Resident, Strategy
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.domain.scheduling.request import (
    Effect,
    Group,
    Request,
    SpreadLimit,
    Term,
    Tolerance,
    Wish,
)
from innkeeper.domain.scheduling.rules.registry import FILTERS, SCORES
from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector
from innkeeper.views.placement import Taint

GIB = 2**30
HOST = HostFacts(
    name="h", cluster="lab", labels={"zone": "a"}, allocatable=Amounts(8000, 16 * GIB, 100 * GIB)
)
ASK = Request(amounts=Amounts(1000, GIB, 10 * GIB), namespace="n")
GPU = Taint(key="gpu", effect="NoSchedule")
A100 = Taint(key="gpu", value="a100", effect="NoSchedule")


def carrying(key: str, *values: str, operator: Operator = Operator.IN) -> Selector:
    return Selector((Requirement(key, operator, frozenset(values)),))


WEB = Group("n", carrying("app", "web"))


def web(host: str = "h", **changes: object) -> Resident:
    made = Resident(host=host, amounts=Amounts(), namespace="n", labels={"app": "web"})
    return replace(made, **changes)  # type: ignore[arg-type] # fields of Resident


@dataclass(frozen=True, kw_only=True)
class Case:
    """One host and one request that a rule brings apart, and what is said of one such host and of two."""

    rule: str
    host: HostFacts = HOST
    asks: Request = ASK
    guests: tuple[Resident, ...] = ()
    reason: str
    one: str
    two: str
    clusters: tuple[ClusterFacts, ...] = field(default=(ClusterFacts(name="lab", labels={"tier": "1"}),))


CASES = [
    Case(
        rule="cluster",
        asks=replace(ASK, cluster="other"),
        reason="OtherCluster",
        one="1 is in another cluster",
        two="2 are in another cluster",
    ),
    Case(
        rule="clusterSelector",
        asks=replace(ASK, cluster_selector=carrying("tier", "2")),
        reason="ClusterNotSelected",
        one="1 is in a cluster that clusterSelector leaves out",
        two="2 are in clusters that clusterSelector leaves out",
    ),
    Case(
        rule="pool",
        asks=replace(ASK, clusters=frozenset({"other"})),
        reason="PoolNotServing",
        one="1 is in a cluster where its pools give it no address",
        two="2 are in clusters where its pools give it no address",
    ),
    Case(
        rule="addresses",
        asks=replace(ASK, addresses_free=False),
        reason="NoFreeAddress",
        one="1 has no free address in its pools",
        two="2 have no free address in its pools",
    ),
    Case(
        rule="mac",
        asks=replace(ASK, mac_in_use=frozenset({"lab"})),
        reason="MacInUse",
        one="1 is in a cluster where another guest has its MAC",
        two="2 are in clusters where another guest has its MAC",
    ),
    Case(
        rule="hostSelector",
        asks=replace(ASK, host_selector=carrying("zone", "a", operator=Operator.NOT_IN)),
        reason="HostNotSelected",
        one="1 is left out by hostSelector",
        two="2 are left out by hostSelector",
    ),
    Case(
        rule="leaving",
        host=replace(HOST, leaving=True),
        reason="Leaving",
        one="1 is deleted or lost",
        two="2 are deleted or lost",
    ),
    Case(
        rule="readiness",
        host=replace(HOST, ready=False),
        reason="NotReady",
        one="1 is not ready",
        two="2 are not ready",
    ),
    Case(
        rule="maintenance",
        host=replace(HOST, maintenance=True),
        reason="Maintenance",
        one="1 is in maintenance",
        two="2 are in maintenance",
    ),
    Case(
        rule="unschedulable",
        host=replace(HOST, unschedulable=True),
        reason="Unschedulable",
        one="1 is unschedulable",
        two="2 are unschedulable",
    ),
    Case(
        rule="taints",
        host=replace(HOST, taints=(A100,)),
        asks=replace(ASK, tolerations=(Tolerance("gpu", "t4"),)),
        reason="Tainted",
        one="1 is tainted gpu=a100",
        two="2 are tainted gpu=a100",
    ),
    Case(
        rule="refused",
        asks=replace(ASK, avoid=frozenset({"h", "h2"})),
        reason="RefusedLately",
        one="1 refused it lately",
        two="2 refused it lately",
    ),
    Case(
        rule="cpu",
        asks=replace(ASK, amounts=Amounts(8001, GIB, GIB)),
        reason="InsufficientCpu",
        one="1 lacks cpu",
        two="2 lack cpu",
    ),
    Case(
        rule="memory",
        asks=replace(ASK, amounts=Amounts(1000, 17 * GIB, GIB)),
        reason="InsufficientMemory",
        one="1 lacks memory",
        two="2 lack memory",
    ),
    Case(
        rule="disk",
        asks=replace(ASK, amounts=Amounts(1000, GIB, 101 * GIB)),
        reason="InsufficientDisk",
        one="1 lacks disk",
        two="2 lack disk",
    ),
    Case(
        rule="affinity",
        asks=replace(ASK, near=(Term(WEB, "zone"),)),
        reason="NotNear",
        one="1 is not where affinity wants it",
        two="2 are not where affinity wants it",
    ),
    Case(
        rule="antiAffinity",
        asks=replace(ASK, apart=(Term(WEB, "zone"),)),
        guests=(web(),),
        reason="NotApart",
        one="1 has guests that antiAffinity keeps apart",
        two="2 have guests that antiAffinity keeps apart",
    ),
    Case(
        rule="spread",
        asks=replace(ASK, labels=(("app", "web"),), spread=(SpreadLimit(Term(WEB, "rack")),)),
        reason="Uneven",
        one="1 would be fuller than spread allows",
        two="2 would be fuller than spread allows",
    ),
]


def a_fleet(*hosts: HostFacts, case: Case | None = None) -> Fleet:
    fleet = Fleet()
    for cluster in case.clusters if case else ():
        fleet.put_cluster(cluster)
    for host in hosts:
        fleet.put_host(host)
    for number, guest in enumerate(case.guests if case else ()):
        fleet.reserve(f"g{number}", guest)
    return fleet


def test_every_rule_has_a_case() -> None:
    assert [each.rule for each in CASES] == [rule.name for rule in FILTERS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.rule))
def test_what_a_rule_rules_out_and_says(case: Case) -> None:
    fleet = a_fleet(case.host, case=case)
    (verdict,) = verdicts(case.asks, fleet, fleet.row_of)
    assert [(each.rule, str(each.reason)) for each in verdict.failures] == [(case.rule, case.reason)]
    assert no_host_fits(case.asks, fleet).message == f"0 of 1 hosts fit: {case.one}"
    two = a_fleet(case.host, replace(case.host, name="h2"), case=case)
    assert no_host_fits(case.asks, two).message == f"0 of 2 hosts fit: {case.two}"


def test_what_a_rule_does_not_rule_out() -> None:
    asks = replace(
        ASK,
        cluster="lab",
        cluster_selector=carrying("tier", "1", "2"),
        clusters=frozenset({"lab"}),
        host_selector=carrying("rack", "x", operator=Operator.NOT_IN),
        tolerations=(Tolerance("gpu", None),),
        avoid=frozenset({"another"}),
        near=(Term(WEB, "zone"),),
        apart=(Term(Group("n", carrying("app", "db")), "zone"),),
        spread=(SpreadLimit(Term(WEB, "zone")),),
        amounts=HOST.allocatable,
    )
    case = replace(CASES[0], guests=(web(),))
    decision = decide(asks, a_fleet(replace(HOST, taints=(GPU, A100)), case=case), seed=0)
    assert not isinstance(decision, NoHostFits), decision


def test_who_keeps_others_apart_is_heard_though_they_ask_nothing() -> None:
    keeper = web(labels={"app": "db"}, apart=(Term(WEB, "zone"),))
    fleet = a_fleet(HOST, case=replace(CASES[0], guests=(keeper,)))
    asks = replace(ASK, labels=(("app", "web"),))
    assert no_host_fits(asks, fleet).message.endswith("1 has guests that antiAffinity keeps apart")
    assert not isinstance(decide(replace(asks, namespace="m"), fleet, seed=0), NoHostFits)


def test_the_first_guest_of_a_group_may_begin_anywhere() -> None:
    asks = replace(ASK, near=(Term(WEB),), labels=(("app", "web"),))
    assert not isinstance(decide(asks, a_fleet(HOST), seed=0), NoHostFits)


def test_the_message_counts_the_first_failure_of_each_host_the_most_frequent_first() -> None:
    hosts = [replace(HOST, name=f"m{number}", allocatable=Amounts(8000, 0, 0)) for number in range(7)]
    hosts += [replace(HOST, name=f"t{number}", taints=(GPU,), allocatable=Amounts()) for number in range(3)]
    hosts += [replace(HOST, name=f"w{number}", maintenance=True) for number in range(2)]
    message = no_host_fits(ASK, a_fleet(*hosts)).message
    assert message == "0 of 12 hosts fit: 7 lack memory, 3 are tainted gpu, 2 are in maintenance"


def test_the_message_stays_short() -> None:
    taints = [Taint(key=f"key-{number:02}", effect="NoSchedule") for number in range(30)]
    hosts = [replace(HOST, name=f"h{number}", taints=(taint,)) for number, taint in enumerate(taints)]
    message = no_host_fits(ASK, a_fleet(*hosts)).message
    assert message.endswith("1 is tainted key-07, 22 for other reasons")


def test_without_hosts_it_says_what_to_do() -> None:
    assert no_host_fits(ASK, a_fleet()).message == "there are no hosts: create a Host and let its agent join"


def scores(
    asks: Request, *hosts: HostFacts, guests: tuple[Resident, ...] = (), **cluster: object
) -> dict[str, dict[str, float]]:
    facts = replace(ClusterFacts(name="lab"), **cluster)  # type: ignore[arg-type] # fields of ClusterFacts
    fleet = a_fleet(*hosts, case=replace(CASES[0], guests=guests, clusters=(facts,)))
    return {each.host: dict(each.scores) for each in verdicts(asks, fleet, fleet.row_of)}


def test_spreading_prefers_the_emptier_host_and_packing_the_fuller() -> None:
    half = replace(HOST, name="half", allocatable=Amounts(2000, 4 * GIB, 100 * GIB))
    spread = scores(ASK, HOST, half)
    assert spread["h"]["strategy"] == pytest.approx((7 / 8 + 15 / 16) * 50, abs=0.01)
    assert spread["half"]["strategy"] == pytest.approx((1 / 2 + 3 / 4) * 50, abs=0.01)
    pack = scores(ASK, HOST, half, strategy=Strategy.PACK)
    assert pack["half"]["strategy"] == pytest.approx(100 - spread["half"]["strategy"], abs=0.01)


def test_each_taint_that_is_rather_avoided_costs() -> None:
    soft = tuple(Taint(key=key, effect=Effect.PREFER_NO_SCHEDULE) for key in ("x", "y"))
    found = scores(
        ASK, HOST, replace(HOST, name="one", taints=soft[:1]), replace(HOST, name="two", taints=soft)
    )
    assert [found[name]["softTaints"] for name in ("h", "one", "two")] == [
        100,
        50,
        pytest.approx(33.333, abs=0.01),
    ]


def test_wishes_count_by_their_weight_and_both_ways() -> None:
    near, far = Wish(Term(WEB), 30), Wish(Term(Group("n", carrying("app", "db"))), -10)
    asks = replace(ASK, wishes=(near, far))
    guests = (web("h"), web("both"), web("both", labels={"app": "db"}), web("db", labels={"app": "db"}))
    hosts = [replace(HOST, name=name) for name in ("h", "both", "db", "none")]
    found = scores(asks, *hosts, guests=guests)
    assert [found[each.name]["softAffinity"] for each in hosts] == [75, 50, -25, 0]


def test_the_emptiest_place_is_best_and_no_place_is_worst() -> None:
    asks = replace(ASK, spread_wishes=(Term(WEB, "zone"),))
    hosts = [replace(HOST, name=zone, labels={"zone": zone}) for zone in "abc"]
    lost = replace(HOST, name="nowhere", labels={})
    guests = (web("a"), web("a"), web("b"))
    found = scores(asks, *hosts, lost, guests=guests)
    assert [found[name]["softSpread"] for name in ("a", "b", "c", "nowhere")] == [0, 50, 100, 0]


def test_a_host_that_has_more_of_the_image_is_better_but_room_counts_more() -> None:
    asks = replace(ASK, image="i")
    half = replace(HOST, name="half", images={"i": 50, "j": 100})
    found = scores(asks, HOST, half, replace(HOST, name="whole", images={"i": 100}))
    assert [found[name]["imageLocality"] for name in ("h", "half", "whole")] == [0, 50, 100]
    rule = next(each for each in SCORES if each.name == "imageLocality")
    assert rule.weight * rule.highest < 50, "less than half a host's room"
    assert "imageLocality" not in scores(ASK, HOST, half)["h"], "an image that no host has ranks none"


def test_the_host_with_the_image_is_chosen_whichever_host_is_looked_at_first() -> None:
    asks = replace(ASK, image="i")
    whole = replace(HOST, name="whole", images={"i": 100})
    others = [replace(HOST, name=f"h{number}") for number in range(5)]
    fleet = Fleet()
    for each in (*others[:3], whole, *others[3:]):
        fleet.put_host(each)
    chosen = {decide(asks, fleet, seed=seed) for seed in range(12)}
    assert chosen == {Placement("whole", HOST.cluster)}


def test_scores_stay_in_their_ranges() -> None:
    empty = replace(HOST, name="empty", allocatable=Amounts())
    found = scores(replace(ASK, amounts=Amounts()), HOST, empty, guests=(web(),))
    for rule in SCORES:
        for host in found.values():
            assert rule.lowest <= host.get(rule.name, rule.lowest) <= rule.highest
