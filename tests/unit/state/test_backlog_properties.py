"""Nobody is forgotten: once all whom a change could help had their look, no guest waits that would be placed.

The verdict is that of the slow reference. Guests are woken, and the next in line looks, as in the flow of guests.
"""

from dataclasses import replace
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from innkeeper.domain.scheduling.cycle import Placement
from innkeeper.domain.scheduling.facts import HostFacts, Resident
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.shortlist import Shortlists
from innkeeper.state.backlog import Backlog
from tests.kit import fleets, reference_scheduler
from tests.kit.changing_fleet import ChangingFleet
from tests.kit.state_machines import in_parts

Key = tuple[str, str]
MOST = 8


class Lines(ChangingFleet):
    """Hosts, clusters and guests come, change and go while others wait; whoever is woken is placed where it fits."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(self.fleet)
        self.shortlists = Shortlists(self.fleet)
        self.asks: dict[Key, Request] = {}

    @initialize(
        hosts=st.lists(fleets.hosts, min_size=4, max_size=8),
        residents=st.lists(fleets.residents(), min_size=4, max_size=8),
        asks=st.lists(fleets.requests_about_places(), min_size=4, max_size=6),
    )
    def begin(self, hosts: list[HostFacts], residents: list[Resident], asks: list[Request]) -> None:
        for facts in hosts:
            self.a_host_comes_or_changes(facts)
        for resident in residents:
            self.a_guest_comes(resident)
        for request in asks:
            self.equal_guests_ask(request, equals=1)

    @rule(data=st.data(), labels=fleets.host_labels)
    def a_host_is_relabelled(self, data: Any, labels: dict[str, str]) -> None:
        assume(self.world.hosts)
        host = self.world.hosts[data.draw(st.sampled_from(sorted(self.world.hosts)))]
        self.a_host_comes_or_changes(replace(host, labels=labels))

    @rule(data=st.data())
    def a_host_is_lost(self, data: Any) -> None:
        assume(self.world.hosts)
        host = self.world.hosts[data.draw(st.sampled_from(sorted(self.world.hosts)))]
        self.a_host_comes_or_changes(replace(host, leaving=True))

    @rule(guest=fleets.residents())
    def a_guest_comes(self, guest: Resident) -> None:
        self.comes(guest)

    @rule(data=st.data(), other=fleets.residents())
    def a_guest_is_relabelled(self, data: Any, other: Resident) -> None:
        assume(self.world.guests)
        guest_id = data.draw(st.sampled_from(sorted(self.world.guests)))
        relabelled = replace(self.world.guests[guest_id], labels=other.labels)
        self.world.guests[guest_id] = relabelled
        self.fleet.reserve(guest_id, relabelled)

    @rule(request=fleets.requests() | fleets.requests_about_places(), equals=st.integers(1, 3))
    def equal_guests_ask(self, request: Request, equals: int) -> None:
        assume(len(self.asks) < MOST)
        for _ in range(equals):
            self.comers += 1
            self.look((request.namespace, f"g{self.comers}"), request)

    @rule(
        request=fleets.requests() | fleets.plain_requests,
        labels=st.lists(fleets.guest_labels, min_size=2, max_size=4),
    )
    def guests_with_labels_of_their_own_ask(self, request: Request, labels: list[dict[str, str]]) -> None:
        for each in labels[: MOST - len(self.asks)]:
            self.equal_guests_ask(replace(request, labels=tuple(sorted(each.items()))), equals=1)

    @rule(data=st.data(), request=fleets.requests())
    def a_guest_asks_for_something_else(self, data: Any, request: Request) -> None:
        assume(self.asks)
        self.look(data.draw(st.sampled_from(sorted(self.asks))), request)

    @rule(data=st.data())
    def a_guest_that_waits_is_deleted(self, data: Any) -> None:
        assume(self.asks)
        self.leave(data.draw(st.sampled_from(sorted(self.asks))))

    def look(self, key: Key, request: Request) -> None:
        """Do what the flow of guests does when it looks at one."""
        decision = self.shortlists.decide(request, seed=0)
        if not isinstance(decision, Placement):
            self.asks[key] = request
            line = self.fleet.crowd.in_common(request)
            self.look_next(self.backlog.wait(key, line, (0, key[1])))
            return
        resident = Resident(
            host=decision.host,
            amounts=request.amounts,
            namespace=request.namespace,
            labels=dict(request.labels),
            apart=request.apart,
        )
        self.world.guests[key[1]] = resident
        self.fleet.reserve(key[1], resident)
        self.leave(key)

    def leave(self, key: Key) -> None:
        self.asks.pop(key, None)
        self.look_next(self.backlog.leave(key))

    def look_next(self, follower: Key | None) -> None:
        if follower is not None:
            self.look(follower, self.asks[follower])

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        while self.fleet.gains:
            for key in [key for part in self.backlog.helped() for key in part]:
                if key in self.asks:
                    self.look(key, self.asks[key])
        for request in self.asks.values():
            for host in self.world.hosts.values():
                assert reference_scheduler.failures(self.world, request, host), "it was not woken"


TestLines0, TestLines1, TestLines2 = in_parts(Lines, 3, examples=51, steps=10)
