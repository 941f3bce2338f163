"""What real guests live through: processes killed, the API server away, namespaces and CRDs deleted."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.kit.lab import Lab, guest, until

CONVERGED_S = 60  # from an API server's return on
OURS = "innkeeper0"  # the bridge that agents make

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]


@pytest.fixture
def running(lab: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[str, str, int]]:
    """A guest that runs: its name, its Guest ID, the pid of its QEMU."""
    name = request.node.name.replace("_", "-")[:50].rstrip("-")
    lab.apply(guest(name))
    lab.wait_ready(name, reason="Running")
    guest_id = lab.guest_id(name)
    yield name, guest_id, lab.qemu_pid(guest_id)
    lab.kubectl.run("delete", "guest", name, "--timeout=120s", "--ignore-not-found", deadline=150)


def test_killing_operator_and_agent_leaves_the_guest_alone(lab: Lab, running: tuple[str, str, int]) -> None:
    """Both come back, adopt what is there, and obey again."""
    name, guest_id, pid = running
    host = lab.host_of(name)
    lab.hack("lab", "agent", "kill", host)
    lab.restart_operator()
    assert lab.qemu_pid(guest_id) == pid
    lab.hack("lab", "agent", "start", host)
    lab.kubectl.run("patch", "guest", name, "--type=merge", "-p", '{"spec":{"restartPolicy":"OnFailure"}}')
    lab.wait_ready(name, reason="Running")
    assert lab.qemu_pid(guest_id) == pid


def test_an_agent_killed_while_it_builds_goes_on(lab: Lab) -> None:
    """The build is finished by the next agent, and there is one QEMU."""
    lab.apply(guest("interrupted"))
    until(lambda: lab.guest("interrupted").get("status", {}).get("host"), what="the binding")
    host = lab.host_of("interrupted")
    lab.hack("lab", "agent", "kill", host)
    lab.hack("lab", "agent", "start", host)
    lab.wait_ready("interrupted", reason="Running", within_s=120)
    lab.qemu_pid(lab.guest_id("interrupted"))
    lab.kubectl.run("delete", "guest", "interrupted", "--timeout=120s", deadline=150)


def test_deleting_the_hosts_namespace_destroys_nothing(lab: Lab, running: tuple[str, str, int]) -> None:
    """The guest runs on; namespace, identity and Assignment are made again and the host is heard again."""
    name, guest_id, pid = running
    namespace = f"host-{lab.host_of(name)}"
    before = lab.get("namespace", namespace)
    assert before is not None
    lab.kubectl.run("delete", "namespace", namespace, "--timeout=120s", deadline=150)

    def made_again() -> bool:
        found = lab.get("namespace", namespace)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    until(made_again, what="the namespace to be made again", within_s=120)
    until(lambda: lab.get("assignment", guest_id, namespace=namespace), what="the Assignment", within_s=120)
    # A change proves that the new identity works from end to end.
    lab.kubectl.run("patch", "guest", name, "--type=merge", "-p", '{"spec":{"restartPolicy":"OnFailure"}}')
    lab.wait_ready(name, reason="Running", within_s=150)
    assert lab.qemu_pid(guest_id) == pid


def test_deleting_assignments_by_hand_destroys_nothing(lab: Lab, running: tuple[str, str, int]) -> None:
    """They are made again, above what the host holds."""
    name, guest_id, pid = running
    namespace = f"host-{lab.host_of(name)}"
    uid = (lab.get("assignment", guest_id, namespace=namespace) or {})["metadata"]["uid"]
    lab.kubectl.run("delete", "assignments", "--all", "-n", namespace)

    def made_again() -> bool:
        found = lab.get("assignment", guest_id, namespace=namespace)
        return found is not None and found["metadata"]["uid"] != uid

    until(made_again, what="the Assignment to be made again")
    lab.kubectl.run("patch", "guest", name, "--type=merge", "-p", '{"spec":{"restartPolicy":"OnFailure"}}')
    lab.wait_ready(name, reason="Running")
    assert lab.qemu_pid(guest_id) == pid


def test_an_api_server_that_is_away_stops_no_guest(lab: Lab, running: tuple[str, str, int]) -> None:
    """A guest whose QEMU dies meanwhile is started by its host; nothing runs twice, and a minute later all is as ever."""
    name, guest_id, pid = running
    lab.hack("control-plane", "stop-apiserver")
    try:
        assert lab.kill_qemu(guest_id) == pid
        until(lambda: lab.qemu_pids(guest_id), what="the host to start the guest again", within_s=60)
        # The design's minute: long enough for leases to run out and for every client to be in its back-off.
        away = int(os.environ.get("INNKEEPER_API_AWAY_S", "60"))
        with pytest.raises(AssertionError):
            until(lambda: len(lab.qemu_pids(guest_id)) != 1, what="a second QEMU", within_s=away)
    finally:
        lab.hack("control-plane", "start-apiserver")
    back, back_at = time.monotonic(), datetime.now(UTC)

    def left_s() -> float:
        return CONVERGED_S - (time.monotonic() - back)

    def is_heard(host: str) -> bool:
        lease = lab.get("lease", "heartbeat", namespace=f"host-{host}") or {}
        conditions = (lab.get("host", host) or {})["status"]["conditions"]
        ready = [each["status"] for each in conditions if each["type"] == "Ready"]
        return datetime.fromisoformat(lease["spec"]["renewTime"]) > back_at and ready == ["True"]

    # A change goes the whole way: operator, order, host and back.
    lab.kubectl.run("patch", "guest", name, "--type=merge", "-p", '{"spec":{"restartPolicy":"OnFailure"}}')
    lab.wait_ready(name, reason="Running", within_s=left_s())
    until(lambda: all(map(is_heard, lab.plan.hosts)), what="both hosts to be heard again", within_s=left_s())
    assert time.monotonic() - back < CONVERGED_S
    assert lab.qemu_pid(guest_id) != pid


@pytest.fixture
def behind_nat(lab: Lab) -> Iterator[str]:
    """Have the hosts be the gateways of a network of their own; give the name of its pool."""
    spec = {"cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "clusters": ["e2e"]}
    pool = {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": "IPPool",
        "metadata": {"name": "behind"},
        "spec": spec,
    }
    lab.apply(pool)
    have_network(lab, {"bridge": None, "managed": {"nat": True}})
    until(lambda: all(OURS in lab.links(each) for each in lab.plan.hosts), what="the bridges of the agents")
    yield "behind"
    have_network(lab, {"bridge": "br0", "managed": None})
    lab.kubectl.run("delete", "ippool", "behind", "--timeout=60s", deadline=90)


def have_network(lab: Lab, network: dict[str, object]) -> None:
    """Change the network of the lab's Cluster."""
    change = json.dumps({"spec": {"network": network}})
    lab.kubectl.run("patch", "cluster", "e2e", "--type=merge", "-p", change)


def test_a_guest_behind_nat_runs_again_after_a_reboot(lab: Lab, behind_nat: str) -> None:
    """Its bridge is one that only the agent makes: libvirt finds it, and the host is the gateway again."""
    lab.apply(guest("hidden", interfaces=[{"name": "eth0", "pool": behind_nat}]))
    before = lab.wait_ready("hidden", reason="Running")["status"]["addresses"]
    host, guest_id = lab.host_of("hidden"), lab.guest_id("hidden")
    pid = lab.qemu_pid(guest_id)
    lab.reboot(host)
    until(lambda: lab.qemu_pids(guest_id) not in ([], [pid]), what="another QEMU", within_s=120)
    assert lab.wait_ready("hidden", reason="Running", within_s=60)["status"]["addresses"] == before
    assert [each for each in lab.links(host, "master", OURS) if each.startswith("ikt")], "it is plugged in"
    in_host = ["ip", "netns", "exec", lab.plan.namespace(host)]
    shown = subprocess.check_output([*in_host, "ip", "-4", "addr", "show", "dev", OURS], text=True)
    assert "10.77.0.1/24" in shown
    rules = subprocess.check_output([*in_host, "nft", "list", "ruleset"], text=True)
    assert "ip saddr 10.77.0.0/24 ip daddr != 10.77.0.0/24 masquerade" in rules
    lab.kubectl.run("delete", "guest", "hidden", "--timeout=90s", deadline=120)


def test_an_agents_token_opens_nothing_of_another_host(lab: Lab) -> None:
    """The token that the lab gave host-a is refused in host-b's namespace and on every cluster-wide kind."""
    as_agent = "--as=system:serviceaccount:host-host-a:agent"
    for kind in ("assignments.innkeeper.dev", "secrets", "hostagents.innkeeper.dev"):
        with pytest.raises(Exception, match="forbidden"):
            lab.kubectl.run("get", kind, "-n", "host-host-b", as_agent)
    for kind in ("guests.innkeeper.dev", "hosts.innkeeper.dev", "ipaddresses.innkeeper.dev", "secrets"):
        with pytest.raises(Exception, match="forbidden"):
            lab.kubectl.run("get", kind, "-A", as_agent)
    assert "No resources found" not in lab.kubectl.run("get", "hostagents", "-n", "host-host-a", as_agent)
