"""The chart in a real cluster: a guest from `kubectl apply` to ping, while all its parts are killed and upgraded.

All tests share one Debian guest, which must never notice. The first ones come while its image still arrives.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit import helm, paths
from kit.container_image import images

from tests.kit import documents, real_cluster, ssh
from tests.kit.lab import guest
from tests.kit.real_cluster import RealCluster, RemoteKey
from tests.kit.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

NAME = "debian"
BOOT_S = 300
NOT_ROOT = "65532"
REPLACED = ("operator", "images", "agent")


@dataclass(frozen=True)
class Debian:
    """The guest that all tests look at."""

    cluster: RealCluster
    key: RemoteKey
    address: str

    def answers_ping(self) -> bool:
        """Tell whether it answers, as seen from its node."""
        asked = self.cluster.run_on_node("ping", "-n", "-c", "1", "-W", "2", self.address, check=False)
        return asked is not None

    def run(self, command: str) -> str | None:
        """Run a command in it; return what it prints, or None where it cannot be reached."""
        return self.cluster.run_on_node(*ssh.command(self.key.path, self.address, command), check=False)

    def boot(self) -> str:
        """Return the name of this very run of its kernel."""
        words = "cat /proc/sys/kernel/random/boot_id"
        return until(lambda: self.run(words), what="ssh to the guest", within_s=BOOT_S) or ""

    def disk_errors(self) -> list[str]:
        """Return what its kernel says of errors of its disk."""
        lines = (self.run("sudo dmesg") or "").splitlines()
        return [line for line in lines if "I/O error" in line or "EXT4-fs error" in line]

    def obeys(self, policy: str) -> None:
        """Change it, and wait until its host says that it took the change."""
        change = f'{{"spec":{{"restartPolicy":"{policy}"}}}}'
        self.cluster.kubectl.run("patch", "guest", NAME, "--type=merge", "-p", change)
        self.cluster.wait_ready(NAME, reason="Running", within_s=120)


@pytest.fixture(scope="module")
def debian(cluster: RealCluster, key: RemoteKey) -> Debian:
    """Apply the guest; it runs, and its image is still on its way."""
    cluster.apply(
        guest(
            NAME,
            resources={"cpu": "1", "memory": "512Mi", "disk": "4Gi"},
            image={"name": "debian-12"},
            sshKeys=[key.public],
        )
    )
    running = cluster.wait_ready(NAME, reason="Running", within_s=120)
    return Debian(cluster, key, str(running["status"]["addresses"][0]["address"]))


def still_arrives(cluster: RealCluster) -> bool:
    """Tell whether the guest's image is on its way: not whole on its host, let alone the guest's own."""
    message = cluster.condition(NAME)["message"]
    return "Streaming" in message and "all of the image" not in message


def test_agent_and_stream_replaced_while_the_image_arrives_give_the_guest_no_error(
    cluster: RealCluster, debian: Debian
) -> None:
    """It boots, answers ping, and its kernel saw no error of its disk."""
    # Once whole it stays so: what is Streaming again was not whole when the pods went.
    until(lambda: still_arrives(cluster), what="the image to be on its way", within_s=60)
    cluster.kill("agent")
    cluster.kill("stream")
    until(lambda: still_arrives(cluster), what="the image to be on its way still", within_s=60)
    until(debian.answers_ping, what="the guest to answer ping", within_s=BOOT_S)
    until(lambda: debian.run("true") is not None, what="ssh to the guest", within_s=BOOT_S)
    # Much that no boot reads: it comes through the stream that was replaced.
    everything = "sudo find /usr -xdev -type f -exec cat {} + | wc -c"
    read = until(lambda: debian.run(everything), what="the guest to read its files", within_s=240)
    assert int(read) > 100 * 2**20
    assert debian.disk_errors() == []


def test_pods_run_what_was_built(cluster: RealCluster, debian: Debian) -> None:
    """Both images say the same version, and only the agent is root."""
    assert {cluster.version_of(part) for part in REPLACED} == {images.own_version()}
    assert cluster.says("operator", "id", "-u").strip() == NOT_ROOT
    assert cluster.says("images", "id", "-u").strip() == NOT_ROOT
    assert cluster.says("agent", "id", "-u").strip() == "0"
    assert debian.answers_ping()


def test_killing_the_operators_leaves_the_guest_alone(cluster: RealCluster, debian: Debian) -> None:
    """All replicas at once: others take over, and the guest's next change reaches its host."""
    before = debian.boot()
    cluster.kill("operator")
    debian.obeys("Never")
    assert debian.boot() == before


def test_killing_the_agent_leaves_the_guest_alone(cluster: RealCluster, debian: Debian) -> None:
    """The next one adopts what runs and obeys."""
    before = debian.boot()
    cluster.kill("agent")
    debian.obeys("OnFailure")
    assert debian.boot() == before


def test_upgrade_and_rollback_leave_the_guest_alone(cluster: RealCluster, debian: Debian) -> None:
    """Operators, image server and agent of another version come and go; they obey, and the guest runs on."""
    before = debian.boot()
    cluster.upgrade(real_cluster.NEXT_VERSION)
    assert {cluster.version_of(part) for part in REPLACED} == {real_cluster.NEXT_VERSION}
    debian.obeys("Never")
    assert debian.boot() == before

    cluster.helm("rollback", real_cluster.RELEASE)
    assert {cluster.version_of(part) for part in REPLACED} == {images.own_version()}
    debian.obeys("OnFailure")
    assert debian.boot() == before
    assert debian.answers_ping()
    assert debian.disk_errors() == []


def test_a_deleted_guest_is_gone_from_its_host(cluster: RealCluster, debian: Debian) -> None:
    """Its object goes once its machine went."""
    cluster.kubectl.run("delete", "guest", NAME, "--timeout=150s", deadline=180)
    assert not debian.answers_ping()


def test_the_page_on_uninstalling_removes_all_that_it_says(cluster: RealCluster, tmp_path: Path) -> None:
    """It is followed from its first command to its last, beside a guest that runs; tests behind it would find nothing."""
    resources = {"cpu": "100m", "memory": "128Mi", "disk": "4Gi"}
    cluster.apply(guest("of-the-page", resources=resources, image={"name": "debian-12"}))
    cluster.wait_ready("of-the-page", reason="Running", within_s=120)
    documents.reader_folder(tmp_path)
    programs = (paths.VENV / "bin", helm.find_or_build().parent)
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
    }
    [page] = documents.pages_on(documents.NODES)
    documents.run(page, directory=tmp_path, environment=environment, on=documents.NODES)
    assert (cluster.run_on_node("virsh", "list", "--all", "--name") or "").split() == []
    assert "innkeeper.dev" not in cluster.kubectl.run("get", "customresourcedefinitions", "--output=name")
    assert cluster.get("namespaces", real_cluster.SYSTEM) is None
