"""Silence as the API shows it: who counts as silent, who does not, and how soon it is told."""

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.kube.resources import HOSTS
from tests.kit.waiting import eventually
from tests.scenario.hosts.conftest import Scene


async def test_one_host_that_is_not_heard_is_silent_and_heard_again_at_once(scene: Scene) -> None:
    await scene.joined("a", "b", "c")
    await scene.pass_time(40, beating=("a", "b"))
    assert scene.reason("c") == "Ready"
    await scene.pass_time(3, beating=("a", "b"))
    await eventually(lambda: scene.reason("c") == "Silent")
    assert (scene.reason("a"), scene.reason("b")) == ("Ready", "Ready")
    assert scene.subset.host_is_silent("c")
    scene.beat("c")
    await eventually(lambda: scene.reason("c") == "Ready")


async def test_a_host_that_reports_and_never_beats_is_heard_once_and_then_silent(scene: Scene) -> None:
    """An operator that starts later says the same of it: two that differ would write over each other for ever."""
    scene.host("a")
    await eventually(lambda: scene.orders("a"))
    scene.report("a")
    await scene.pass_time(14)  # what it reported is told with the counters
    await eventually(lambda: scene.reason("a") == "Ready")
    await scene.pass_time(43)
    await eventually(lambda: scene.reason("a") == "Silent")


async def test_when_most_hosts_fall_silent_at_once_none_counts(scene: Scene) -> None:
    await scene.joined("a", "b", "c")
    await scene.pass_time(60, beating=("a",))
    await eventually(lambda: scene.reason("b") == "Unheard")
    host = scene.api.get(HOSTS, "b")
    assert host is not None
    assert host["status"]["conditions"][0]["status"] == "Unknown"
    assert host["status"]["schedulable"] is False
    assert not scene.subset.host_is_silent("b"), "its guests must not be given up"


async def test_nobody_is_silent_while_the_operator_itself_is_deaf(scene: Scene) -> None:
    """The watch stays open and says nothing, as behind a firewall that drops packets."""
    await scene.joined("a")
    scene.api.faults.silent = True
    await scene.pass_time(80)
    assert scene.reason("a") == "Ready"
    scene.api.faults.silent = False


async def test_counters_wait_but_a_change_of_ready_does_not(scene: Scene) -> None:
    await scene.joined("a")
    await scene.pass_time(11, beating=("a",))
    before = len(scene.api.writes("patch hosts/status a"))
    assert before
    scene.subset.promises.keep("g", Resident(host="a", amounts=Amounts(1000, 2**30, 2**30)))
    scene.statuses.touch("a")
    await scene.pass_time(5, beating=("a",))
    assert len(scene.api.writes("patch hosts/status a")) == before
    await scene.pass_time(6, beating=("a",))
    await eventually(lambda: (scene.api.get(HOSTS, "a") or {})["status"]["guests"] == 1)
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "burnt"}})
    await eventually(lambda: scene.reason("a") == "Lost")
