"""A host's identity is made, kept, made again, revoked and let go."""

import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.kube.resources import (
    CLUSTERS,
    HOST_AGENTS,
    HOSTS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from innkeeper.views.host import Host
from innkeeper.workers.hosts.projection import HostFacts
from tests.kit.fake_api import Call
from tests.kit.waiting import eventually, settled
from tests.scenario.hosts.conftest import KEY, Scene


async def test_a_new_host_gets_its_namespace_identity_and_orders(scene: Scene) -> None:
    scene.host("a", allowEmulation=True, reserved={"memory": "2Gi"}, overcommit={"cpuPercent": 400})
    orders = await eventually(lambda: scene.orders("a"))
    assert orders["spec"] == {
        "cluster": "c",
        "network": {"bridge": "br0"},
        "allowEmulation": True,
        "reserved": {"cpu": "0", "memory": "2Gi", "disk": "0"},
        "overcommit": {"cpuPercent": 400, "memoryPercent": 100, "diskPercent": 100},
        "scheduling": {"unschedulable": False, "maintenance": False, "taints": [], "labels": {}},
        "orderKeys": [{"id": KEY.id, "publicKey": KEY.public_key}],
    }
    host = scene.api.get(HOSTS, "a")
    assert host is not None
    assert host["metadata"]["finalizers"] == ["innkeeper.dev/host"]


async def test_the_finalizer_comes_before_anything_that_it_guards(scene: Scene) -> None:
    scene.host("a")
    await eventually(lambda: scene.orders("a"))
    writes = [str(call) for call in scene.api.writes() if call.subresource != "status"]
    assert writes[0] == "patch hosts a"


async def test_a_host_that_has_all_costs_no_write(scene: Scene) -> None:
    await scene.joined("a")
    await scene.pass_time(12, beating=("a",))
    before = len(scene.api.writes())
    await scene.pass_time(30, beating=("a",))
    assert len(scene.api.writes()) == before


@pytest.mark.parametrize(
    ("resource", "name"),
    [(SERVICE_ACCOUNTS, "agent"), (ROLES, "agent"), (ROLE_BINDINGS, "agent"), (HOST_AGENTS, "host")],
)
async def test_what_somebody_deletes_is_made_again(scene: Scene, resource: Resource, name: str) -> None:
    await scene.joined("a")
    scene.api.delete(resource, name, namespace="host-a")
    await eventually(lambda: scene.api.get(resource, name, namespace="host-a"))


async def test_a_deleted_namespace_is_made_again_once_it_is_gone(scene: Scene) -> None:
    """While it terminates nothing can be made in it, and nothing is tried at full speed."""
    await scene.joined("a")
    stays = {"metadata": {"finalizers": ["somebody/else"]}}
    scene.api.patch(SERVICE_ACCOUNTS, "agent", stays, namespace="host-a")
    old = scene.api.delete(NAMESPACES, "host-a")["metadata"]["uid"]
    before = await settled(lambda: len(scene.api.calls))
    await scene.pass_time(5)
    assert len(scene.api.calls) - before < 10
    scene.api.patch(SERVICE_ACCOUNTS, "agent", {"metadata": {"finalizers": []}}, namespace="host-a")

    def made_again() -> bool:
        found = scene.api.get(NAMESPACES, "host-a")
        return found is not None and found["metadata"]["uid"] != old and scene.orders("a") is not None

    await eventually(made_again)
    assert scene.reason("a") == "AgentNotReady", (
        "what the agent reported before is not taken for its word now"
    )


async def test_a_namespace_that_lost_its_label_is_still_the_hosts(scene: Scene) -> None:
    await scene.joined("a")
    scene.api.patch(NAMESPACES, "host-a", {"metadata": {"labels": {"innkeeper.dev/host": None}}})

    def labelled() -> bool:
        found = scene.api.get(NAMESPACES, "host-a") or {}
        return found["metadata"].get("labels", {}).get("innkeeper.dev/host") == "a"

    await eventually(labelled)


async def test_a_change_of_the_cluster_reaches_its_hosts(scene: Scene) -> None:
    await scene.joined("a")
    scene.api.patch(CLUSTERS, "c", {"spec": {"network": {"bridge": "br9"}}})
    await eventually(lambda: (scene.orders("a") or {})["spec"]["network"]["bridge"] == "br9")


async def test_counters_of_a_cluster_have_none_of_its_hosts_looked_at(scene: Scene) -> None:
    """They change every few seconds while guests are built, and a Cluster may have thousands of hosts."""
    await scene.joined("a", "b")
    await scene.pass_time(12, beating=("a", "b"))
    judged = 0

    def facts(host: Host) -> HostFacts:
        nonlocal judged
        judged += 1
        return type(scene.statuses).facts(scene.statuses, host)

    scene.statuses.facts = facts  # type: ignore[method-assign] # counts who is judged, and judges
    scene.looks.clear()
    scene.api.patch(CLUSTERS, "c", {"status": {"guests": 7}}, subresource="status")
    await eventually(lambda: scene.subset.clusters["c"].status.guests == 7)
    await scene.pass_time(12)
    assert (scene.looks, judged) == ([], 0)


async def test_a_cluster_that_is_deleted_and_made_again_is_noticed_by_its_hosts(scene: Scene) -> None:
    await scene.joined("a")
    made = scene.api.delete(CLUSTERS, "c")
    await eventually(lambda: scene.reason("a") == "ClusterNotFound")
    scene.api.create(CLUSTERS, {"metadata": {"name": "c"}, "spec": made["spec"]})
    await eventually(lambda: scene.reason("a") == "Ready")


async def test_a_lost_host_loses_its_identity_for_good(scene: Scene) -> None:
    await scene.joined("a")
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "burnt"}})
    await eventually(lambda: scene.api.get(SERVICE_ACCOUNTS, "agent", namespace="host-a") is None)
    assert scene.api.get(ROLE_BINDINGS, "agent", namespace="host-a") is None
    await scene.pass_time(5, beating=("a",))
    assert scene.api.get(SERVICE_ACCOUNTS, "agent", namespace="host-a") is None
    assert scene.reason("a") == "Lost"


async def test_a_host_without_guests_goes_with_its_namespace(scene: Scene) -> None:
    await scene.joined("a")
    scene.api.delete(HOSTS, "a")
    await eventually(lambda: scene.api.get(HOSTS, "a") is None)
    assert scene.api.get(NAMESPACES, "host-a") is None


async def test_trouble_with_the_api_server_is_got_over(scene: Scene) -> None:
    """Each write fails once, one is carried out and its answer lost; the identity is whole in the end."""
    fail = scene.api.faults.fail
    plurals = ("namespaces", "serviceaccounts", "roles", "hostagents")
    faults = [
        fail("patch hosts", status=409),
        *(fail(f"create {plural}", status=500) for plural in plurals),
        scene.api.faults.cut("create rolebindings", after=True),
    ]
    scene.host("a")

    async def whole() -> bool:
        await scene.pass_time(1)
        return scene.orders("a") is not None

    await eventually(whole)
    assert all(fault.met for fault in faults)
    for resource in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS):
        assert scene.api.get(resource, "agent", namespace="host-a")


async def test_an_api_server_that_asks_for_a_pause_gets_it(scene: Scene) -> None:
    fault = scene.api.faults.fail("create namespaces", status=429, times=None, retry_after_s=20)
    scene.host("a")
    await eventually(lambda: fault.met)
    await settled(lambda: len(scene.api.calls))
    asked = len(fault.met)
    await scene.pass_time(15)
    assert len(fault.met) == asked
    scene.api.faults.clear()
    await scene.pass_time(6)
    await eventually(lambda: scene.orders("a"))


async def test_what_is_there_already_is_taken_as_it_is_now(scene: Scene) -> None:
    """Our view is behind, and somebody else writes between our look and our write."""
    writes: list[str] = []

    def meanwhile(call: Call, moment: str) -> None:
        if moment == "before" and call.matches("create namespaces"):
            scene.api.create(NAMESPACES, {"metadata": {"name": "host-a"}})
        elif call.matches("patch namespaces host-a"):
            if moment == "before" and not writes:
                note = {"metadata": {"annotations": {"innkeeper.test/somebody": "was here"}}}
                scene.api.patch(NAMESPACES, "host-a", note)
            writes.append(moment)

    scene.api.on_write = meanwhile
    scene.host("a")
    await eventually(lambda: "before" in writes)

    async def ours() -> bool:
        await scene.pass_time(1)
        found = scene.api.get(NAMESPACES, "host-a") or {}
        return found["metadata"].get("labels", {}).get("innkeeper.dev/host") == "a"

    await eventually(ours)
    refused = [each.status for each in scene.api.called("patch namespaces host-a")]
    assert refused[0] == 409, "it was not written over unseen"


async def test_a_host_that_a_guest_is_being_bound_to_keeps_its_identity_until_that_is_decided(
    scene: Scene,
) -> None:
    """Else its agent could never be told that the guest is to go."""
    await scene.joined("a")
    size = Amounts(cpu_millis=1000, memory_bytes=1, disk_bytes=1)
    scene.subset.promises.assume("some-guest", Resident(host="a", amounts=size))
    scene.api.delete(HOSTS, "a")
    await scene.pass_time(5, beating=("a",))
    assert scene.api.get(SERVICE_ACCOUNTS, "agent", namespace="host-a")
    scene.subset.promises.release("some-guest")
    await scene.pass_time(2)
    await eventually(lambda: scene.api.get(HOSTS, "a") is None)


async def test_a_host_knows_what_its_host_says_of_guests_to_come(scene: Scene) -> None:
    """So that it can be made anew by what the host tells."""
    await scene.joined("a")
    taint = {"key": "gpu", "value": "", "effect": "NoSchedule"}
    change = {"metadata": {"labels": {"zone": "z", "rack": "7"}}, "spec": {"taints": [taint]}}
    scene.api.patch(HOSTS, "a", change)
    scene.api.patch(HOSTS, "a", {"metadata": {"labels": {"zone": None}}, "spec": {"maintenance": True}})
    wanted = {"unschedulable": False, "maintenance": True, "taints": [taint], "labels": {"rack": "7"}}
    await eventually(lambda: (scene.orders("a") or {})["spec"].get("scheduling") == wanted)
    scene.api.patch(HOSTS, "a", {"metadata": {"labels": {"rack": None}}, "spec": {"taints": []}})
    gone = {**wanted, "taints": [], "labels": {}}
    await eventually(lambda: (scene.orders("a") or {})["spec"].get("scheduling") == gone)
    before = await settled(lambda: len(scene.api.calls))
    await scene.pass_time(5, beating=("a",))
    assert [each.resource for each in scene.api.writes()[before:]].count("hostagents") == 0
