"""The scheduler beside a slow reference: the same verdicts and scores, whatever came before, and never a broken rule."""

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement
from innkeeper.domain.scheduling.explain import explain, verdicts
from innkeeper.domain.scheduling.facts import HostFacts, Resident
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.domain.scheduling.request import EVERYTHING, Group, Request, Term
from innkeeper.domain.scheduling.shortlist import Shortlists
from innkeeper.views.placement import CLUSTER_TOPOLOGY
from tests.kit import fleets, reference_scheduler
from tests.kit.changing_fleet import ChangingFleet
from tests.kit.state_machines import in_parts

ALL = 1 << 62


class Fleets(ChangingFleet):
    """Hosts, clusters and guests come, change and go; guests are placed one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Request] = []

    @initialize(
        block=st.sampled_from((2, 4, 1024)),
        enough=st.sampled_from((1, 3, 256)),
        hosts=st.lists(fleets.hosts, min_size=3, max_size=10),
        residents=st.lists(fleets.residents(), max_size=8),
    )
    def begin(self, block: int, enough: int, hosts: list[HostFacts], residents: list[Resident]) -> None:
        # Small blocks and short lists, so that a few hosts are as many as a million are otherwise.
        self.fleet = Fleet(block=block)
        self.enough = enough
        self.shortlists = Shortlists(self.fleet, enough=enough)
        for facts in hosts:
            self.a_host_comes_or_changes(facts)
        for number, resident in enumerate(residents):
            self.world.guests[f"first-{number}"] = resident
            self.fleet.reserve(f"first-{number}", resident)

    @rule(wanted=st.lists(fleets.requests(), min_size=1, max_size=4), seed=st.integers(0, 1 << 64))
    def guests_are_placed(self, wanted: list[Request], seed: int) -> None:
        for request in wanted:
            self.seen.append(request)
            self.decide(request, seed)

    @rule(data=st.data(), seed=st.integers(0, 1 << 64))
    def an_equal_guest_is_placed(self, data: Any, seed: int) -> None:
        assume(self.seen)
        self.decide(data.draw(st.sampled_from(self.seen)), seed)

    @rule(
        data=st.data(),
        request=fleets.plain_requests,
        key=st.sampled_from((CLUSTER_TOPOLOGY, "zone", "rack")),
        seed=st.integers(0, 1 << 64),
    )
    def keepers_come_between_equal_guests(self, data: Any, request: Request, key: str, seed: int) -> None:
        assume(self.world.hosts)
        apart = (Term(Group(request.namespace, EVERYTHING), key),)
        for _ in range(3):
            host = data.draw(st.sampled_from(sorted(self.world.hosts)))
            self.comes(Resident(host=host, amounts=Amounts(), namespace=request.namespace, apart=apart))
            self.decide(request, seed)

    def decide(self, request: Request, seed: int) -> None:
        failed = {
            name: reference_scheduler.failures(self.world, request, host)
            for name, host in self.world.hosts.items()
        }
        self.explanation_is_the_reference_s(request, failed, seed)
        once = cycle.decide(request, self.fleet, seed=seed, enough=self.enough)
        assert cycle.decide(request, self.fleet, seed=seed, enough=self.enough) == once
        decision = self.shortlists.decide(request, seed=seed)
        for each in (once, decision):
            if isinstance(each, Placement):
                assert failed[each.host] == [], "a hard rule is never broken"
                assert each.cluster == self.world.hosts[each.host].cluster
            else:
                assert all(failed.values()), "a guest that fits somewhere is placed"
        if isinstance(decision, Placement):
            guest = Resident(
                host=decision.host,
                amounts=request.amounts,
                namespace=request.namespace,
                labels=dict(request.labels),
                apart=request.apart,
            )
            self.comes(guest)
            self.never_over_promised(decision.host)

    def explanation_is_the_reference_s(
        self, request: Request, failed: dict[str, list[str]], seed: int
    ) -> None:
        told = verdicts(request, self.fleet, self.world.hosts)
        assert {each.host: [one.rule for one in each.failures] for each in told} == failed
        fitting = [host for name, host in self.world.hosts.items() if not failed[name]]
        whole = explain(request, self.fleet, seed=seed)
        assert (whole.hosts, whole.fits) == (len(self.world.hosts), len(fitting))
        totals = {
            host.name: reference_scheduler.total(self.world, request, host, fitting) for host in fitting
        }
        for each in told:
            if each.total is not None:
                assert abs(each.total - totals[each.host]) < 0.01
        if totals:
            best = cycle.decide(request, self.fleet, seed=seed, enough=ALL)
            assert isinstance(best, Placement)
            assert totals[best.host] > max(totals.values()) - 0.01, (
                "where all are compared, the best is taken"
            )
        elif self.world.hosts:
            self.counts_are_the_reference_s(request)

    def counts_are_the_reference_s(self, request: Request) -> None:
        told = cycle.no_host_fits(request, self.fleet)
        assert isinstance(told, NoHostFits)
        counts = reference_scheduler.counts(self.world, request)
        head, _, parts = told.message.partition(": ")
        assert head == f"0 of {len(self.world.hosts)} hosts fit"
        numbers = [int(part.split(" ", 1)[0]) for part in parts.split(", ")]
        assert sum(numbers) == sum(counts.values()) == len(self.world.hosts)
        tainted = sum(
            number for number, part in zip(numbers, parts.split(", "), strict=True) if "tainted" in part
        )
        assert tainted == counts["taints"]

    def never_over_promised(self, name: str) -> None:
        assert min(self.world.left(self.world.hosts[name])) >= 0

    @invariant()
    def what_is_kept_is_what_a_recount_finds(self) -> None:
        if not hasattr(self, "fleet"):
            return
        for name in self.world.hosts:
            taken = [guest.amounts for guest in self.world.guests.values() if guest.host == name]
            assert self.fleet.promised(name) == sum(taken, Amounts())
            assert self.fleet.count(name) == len(taken)
        assert sum(self.fleet.crowd.correct()) == 0
        assert self.fleet.hosts == len(self.world.hosts)


TestFleets0, TestFleets1, TestFleets2, TestFleets3 = in_parts(Fleets, 4, examples=120, steps=12)
