"""What people read about a Host, from what is known of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.views.host import Host, HostAgent, HostStatus
from innkeeper.views.meta import Resources
from innkeeper.workers.hosts.projection import HostFacts, host_status, patch_of, readiness
from innkeeper.workers.hosts.silence import Hearing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_host(spec: dict[str, Any] | None = None, **metadata: Any) -> Host:
    document = {
        "metadata": {"name": "a", "generation": 3, **metadata},
        "spec": {"cluster": "c", **(spec or {})},
    }
    return msgspec.convert(document, Host)


def an_agent(**status: Any) -> HostAgent:
    said = {
        "storeId": "store-1",
        "hypervisor": "KVM",
        "agentVersion": "0.1.0",
        "capacity": {"cpu": "8", "memory": "16Gi", "disk": "100Gi"},
        "conditions": [{"type": "Ready", "status": "True"}],
        **status,
    }
    spec = {"cluster": "c", "network": {"bridge": "br0"}}
    return msgspec.convert({"metadata": {"name": "host"}, "spec": spec, "status": said}, HostAgent)


def facts(**changes: Any) -> HostFacts:
    return HostFacts(**{"agent": an_agent(), "cluster_exists": True, "hearing": Hearing.HEARD, **changes})


def test_a_host_that_is_heard_and_can_run_guests_is_ready() -> None:
    status = host_status(a_host(), facts(guests=2, promised=Amounts(1500, 2**30, 0)), now=NOW)
    assert status.conditions[0].status == "True"
    assert status.conditions[0].observed_generation == 3
    assert status.schedulable
    assert (status.store_id, status.hypervisor, status.guests) == ("store-1", "KVM", 2)
    assert status.allocated == Resources(cpu="1500m", memory="1Gi", disk="0")


def maintenance(host: Host, known: HostFacts) -> tuple[str, str] | None:
    found = [each for each in host_status(host, known, now=NOW).conditions if each.type == "Maintenance"]
    return (found[0].reason, found[0].message) if found else None


@pytest.mark.parametrize(
    ("names", "reason", "message"),
    [
        ((), "Empty", "no guest is here: the machine can be worked on"),
        (("ns/a",), "GuestsRemain", "1 guest is still here: ns/a"),
        (("ns/b", "ns/a"), "GuestsRemain", "2 guests are still here: ns/a, ns/b"),
    ],
)
def test_a_host_in_maintenance_takes_no_guests_and_lists_what_is_left(
    names: tuple[str, ...], reason: str, message: str
) -> None:
    host, known = a_host({"maintenance": True}), facts(guests=len(names), guest_names=names)
    assert maintenance(host, known) == (reason, message)
    assert not host_status(host, known, now=NOW).schedulable
    assert host_status(host, known, now=NOW).conditions[0].status == "True"


def test_the_list_of_a_large_host_is_short() -> None:
    names = tuple(f"ns/guest-{number:03}" for number in range(60))
    told = maintenance(a_host({"maintenance": True}), facts(guests=60, guest_names=names))
    assert told is not None
    assert told[1].endswith("ns/guest-009 and 50 more")


def test_a_host_that_is_being_given_a_guest_is_not_empty() -> None:
    """Its room is promised before its name is known here: nobody may switch the machine off meanwhile."""
    host = a_host({"maintenance": True})
    assert maintenance(host, facts(guests=1)) == ("GuestsRemain", "1 guest is still here")
    told = maintenance(host, facts(guests=3, guest_names=("ns/a",)))
    assert told == ("GuestsRemain", "3 guests are still here: ns/a and 2 more")


def test_maintenance_can_be_taken_back() -> None:
    before = host_status(a_host({"maintenance": True}), facts(), now=NOW)
    host = msgspec.structs.replace(a_host(), status=before)
    after = host_status(host, facts(), now=NOW)
    assert [each.type for each in after.conditions] == ["Ready"]
    assert after.schedulable


@pytest.mark.parametrize(
    ("host", "known", "reason"),
    [
        (a_host({"lost": "burnt"}), facts(), "Lost"),
        (a_host(deletionTimestamp="2026-01-01T00:00:00Z"), facts(assignments=2), "WaitsForAssignments"),
        (a_host(), facts(cluster_exists=False), "ClusterNotFound"),
        (a_host(), facts(agent=None, hearing=Hearing.UNKNOWN), "NeverReported"),
        (a_host(), facts(agent=None), "NeverReported"),
        (a_host(), facts(hearing=Hearing.SILENT), "Silent"),
        (a_host(), facts(hearing=Hearing.DOUBTFUL), "Unheard"),
        (a_host(), facts(agent=an_agent(hypervisor="Emulation")), "EmulationNotAllowed"),
        (a_host(), facts(agent=an_agent(conditions=[])), "AgentNotReady"),
    ],
)
def test_the_first_thing_that_is_wrong_is_the_reason(host: Host, known: HostFacts, reason: str) -> None:
    ready = readiness(host, known)
    assert ready.reason == reason
    assert not ready.is_ready
    assert not host_status(host, known, now=NOW).schedulable


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({"assignments": 2, "guests": 2}, "2 Assignments are left: delete their Guests"),
        ({"assignments": 1}, "1 Assignment is left"),
        ({"guests": 1}, "1 guest is bound to it: delete them"),
        ({}, "its namespace goes first"),
    ],
)
def test_a_host_that_goes_says_what_is_waited_for(left: dict[str, int], said: str) -> None:
    found = readiness(a_host(deletionTimestamp="2026-01-01T00:00:00Z"), facts(**left))
    assert said in found.message


def test_many_that_are_not_heard_are_unknown_not_false() -> None:
    """A guest there may run on: nothing is known to be wrong."""
    assert readiness(a_host(), facts(hearing=Hearing.DOUBTFUL)).status == "Unknown"


def test_emulation_is_ready_where_the_host_allows_it() -> None:
    host = a_host({"allowEmulation": True})
    assert readiness(host, facts(agent=an_agent(hypervisor="Emulation"))).is_ready


def test_an_unschedulable_host_is_ready_but_takes_no_guests() -> None:
    status = host_status(a_host({"unschedulable": True}), facts(), now=NOW)
    assert (status.conditions[0].status, status.schedulable) == ("True", False)


def test_the_agents_own_words_are_passed_on() -> None:
    agent = an_agent(conditions=[{"type": "Ready", "status": "False", "message": "libvirt does not answer"}])
    assert readiness(a_host(), facts(agent=agent)).message == "libvirt does not answer"


def test_what_an_agent_reported_stays_known_while_its_namespace_is_made_again() -> None:
    before = host_status(a_host(), facts(), now=NOW)
    host = msgspec.structs.replace(a_host(), status=before)
    after = host_status(host, facts(agent=None), now=NOW)
    assert (after.store_id, after.capacity) == (before.store_id, before.capacity)
    assert after.conditions[0].reason == "AgentNotReady"


def test_allocatable_is_capacity_less_reserve_times_overcommit() -> None:
    host = a_host(
        {
            "reserved": {"cpu": "1", "memory": "1Gi", "disk": "10Gi"},
            "overcommit": {"cpuPercent": 400, "memoryPercent": 100, "diskPercent": 50},
        }
    )
    assert host_status(host, facts(), now=NOW).allocatable == Resources(cpu="28", memory="15Gi", disk="45Gi")


def test_a_reserve_above_the_capacity_leaves_nothing() -> None:
    host = a_host({"reserved": {"cpu": "100", "memory": "1Ti", "disk": "1Ti"}})
    assert host_status(host, facts(), now=NOW).allocatable == Resources(cpu="0", memory="0", disk="0")


def test_the_patch_says_nothing_when_nothing_changed() -> None:
    status = host_status(a_host(), facts(guests=1), now=NOW)
    assert patch_of(status, status) is None


def test_the_patch_writes_counters_that_fell_to_zero_and_takes_away_what_is_gone() -> None:
    old = host_status(a_host(), facts(guests=1), now=NOW)
    new = msgspec.structs.replace(old, guests=0, hypervisor=None, schedulable=False)
    patch = patch_of(old, new)
    assert patch is not None
    assert (patch["guests"], patch["hypervisor"], patch["schedulable"]) == (0, None, False)
    assert (
        msgspec.convert({key: value for key, value in patch.items() if value is not None}, HostStatus) == new
    )


@pytest.mark.parametrize("amount", ["16Ei", "9999999999999999999Ei"])
def test_no_more_is_allocatable_than_is_counted_whatever_an_agent_says(amount: str) -> None:
    said = an_agent(capacity={"cpu": "8", "memory": amount, "disk": amount})
    host = a_host({"overcommit": {"cpuPercent": 100, "memoryPercent": 800, "diskPercent": 50}})
    status = host_status(host, facts(agent=said), now=NOW)
    assert status.allocatable == Resources(cpu="8", memory="1Ei", disk="512Pi")
