"""What happens to a fleet whatever is tested of it: hosts and clusters come, change and go, and guests go.

The base of state machines. Each change reaches the fleet under test and the world that the slow reference reads.
"""

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from innkeeper.domain.scheduling.facts import ClusterFacts, HostFacts, Resident
from innkeeper.domain.scheduling.fleet import Fleet
from tests.kit import fleets
from tests.kit.reference_scheduler import World


class ChangingFleet(RuleBasedStateMachine):
    """A fleet, and the world as the reference sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.fleet = Fleet()
        self.comers = 0

    @rule(facts=fleets.hosts)
    def a_host_comes_or_changes(self, facts: HostFacts) -> None:
        self.world.hosts[facts.name] = facts
        self.fleet.put_host(facts)

    @rule(data=st.data())
    def a_host_goes(self, data: Any) -> None:
        assume(self.world.hosts)
        name = data.draw(st.sampled_from(sorted(self.world.hosts)))
        del self.world.hosts[name]
        self.fleet.remove_host(name)

    @rule(facts=fleets.cluster_facts)
    def a_cluster_comes_or_changes(self, facts: ClusterFacts) -> None:
        self.world.clusters[facts.name] = facts
        self.fleet.put_cluster(facts)

    @rule(data=st.data())
    def a_guest_goes(self, data: Any) -> None:
        assume(self.world.guests)
        guest_id = data.draw(st.sampled_from(sorted(self.world.guests)))
        del self.world.guests[guest_id]
        self.fleet.release(guest_id)

    def comes(self, guest: Resident) -> None:
        """Have a guest take its place."""
        self.comers += 1
        self.world.guests[f"g{self.comers}"] = guest
        self.fleet.reserve(f"g{self.comers}", guest)
