"""The chart in a real cluster: a guest from `kubectl apply` to ping, while all its parts are killed and upgraded.

All tests share one Debian guest, which must never notice. The first ones come while its image still arrives.
"""

import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from kit import helm, paths
from kit.container_image import images
from kit.steps import StepError

from innkeeper.agent.drivers.libvirt.domain_xml import domain_name
from tests.kit import documents, fake_programs, real_cluster, ssh
from tests.kit.lab import guest
from tests.kit.real_cluster import RealCluster, RemoteKey
from tests.kit.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

NAME = "debian"
BOOT_S = 300
NOT_ROOT = "65532"
QUERY = "/apis/query.innkeeper.dev/v1alpha1"
STATE = "/var/lib/innkeeper"
UNINSTALLING = paths.CHECKOUT / "docs" / "how-to" / "upgrade-and-uninstall.md"
PAGES = [page for page in documents.pages_on(documents.NODES) if page != UNINSTALLING]
REPLACED = ("operator", "images", "agent")


@dataclass(frozen=True)
class Debian:
    """The guest that all tests look at."""

    BOOT: ClassVar[str] = "cat /proc/sys/kernel/random/boot_id"
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
        told = until(lambda: self.run(self.BOOT), what="ssh to the guest", within_s=BOOT_S) or ""
        return str(told).strip()

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


def test_a_new_operator_goes_on_from_the_snapshot_of_the_one_before(
    cluster: RealCluster, debian: Debian
) -> None:
    """On the volume that the chart asks for by default. The pods are killed, so nobody writes a last one."""

    def all_tell(series: str) -> bool:
        try:
            told = cluster.metrics("operator")
        except StepError:  # a pod has just gone
            return False
        return bool(told) and all(
            re.search(rf"^{re.escape(series)} [1-9]", each, re.MULTILINE) for each in told
        )

    until(lambda: all_tell("innkeeper_snapshot_bytes"), what="a snapshot of each operator", within_s=180)
    volumes = claims(cluster)
    cluster.kill("operator")
    used = 'innkeeper_snapshot_loads_total{outcome="used"}'
    until(lambda: all_tell(used), what="the operators to use what was written before them", within_s=120)
    assert claims(cluster) == volumes
    assert {"snapshot-innkeeper-operator-0", "snapshot-innkeeper-operator-1", "innkeeper-images"} <= volumes
    assert debian.answers_ping()


def claims(cluster: RealCluster) -> set[str]:
    """Return the claims of the release that have a volume."""
    found = cluster.kubectl.get("persistentvolumeclaims", "-n", real_cluster.SYSTEM) or {}
    return {each["metadata"]["name"] for each in found["items"] if each["status"]["phase"] == "Bound"}


@pytest.mark.usefixtures("debian")
def test_the_query_api_answers_through_the_api_server(cluster: RealCluster) -> None:
    """From a person to the guest's console: the chart's certificate, the operator, mutual TLS, the host."""
    until(lambda: shows_console(cluster), what="the guest's console", within_s=120)
    listed = json.loads(cluster.kubectl.run("get", "--raw", f"{QUERY}/namespaces/default/guestviews"))
    assert [each["metadata"]["name"] for each in listed["items"]] == [NAME]
    served = cluster.kubectl.get("apiservice", "v1alpha1.query.innkeeper.dev")
    assert served is not None
    [available] = [each for each in served["status"]["conditions"] if each["type"] == "Available"]
    assert available["status"] == "True"


def shows_console(cluster: RealCluster) -> bool:
    said = cluster.plugin("logs", NAME)
    return said.returncode == 0 and "login:" in said.stdout


@pytest.fixture(scope="module")
def web(cluster: RealCluster) -> None:
    """The guest that pages speak of, as small as it can be."""
    resources = {"cpu": "100m", "memory": "128Mi", "disk": "4Gi"}
    cluster.apply(guest("web", resources=resources, image={"name": "debian-12"}))
    cluster.wait_ready("web", reason="Running", within_s=120)


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("page", PAGES, ids=documents.name)
def test_pages_do_what_they_say_beside_a_guest_that_runs_on(
    cluster: RealCluster, debian: Debian, page: Path, tmp_path: Path
) -> None:
    before = debian.boot()
    follow(page, cluster, tmp_path)
    assert debian.boot() == before


def test_after_both_authorities_were_made_anew_hosts_are_asked_again(
    cluster: RealCluster, debian: Debian
) -> None:
    """The page that did it ran before this; its hosts have their new certificates within minutes."""
    until(lambda: shows_console(cluster), what="the guest's console", within_s=180)
    debian.obeys("Never")


@pytest.mark.usefixtures("web")
def test_a_deleted_guest_is_gone_from_its_host(cluster: RealCluster) -> None:
    """Its object goes once its machine went."""
    machine = domain_name(cluster.guest_id("web"))
    assert machine in machines(cluster)
    cluster.kubectl.run("delete", "guest", "web", "--timeout=150s", deadline=180)
    assert machine not in machines(cluster)


def machines(cluster: RealCluster) -> list[str]:
    """Return the machines of the node, also those that are off."""
    return (cluster.run_on_node("virsh", "list", "--all", "--name") or "").split()


def test_the_page_on_uninstalling_removes_all_that_it_says_and_first_no_guest(
    cluster: RealCluster, debian: Debian, tmp_path: Path
) -> None:
    """It is followed from its first command to its last; tests behind it would find nothing.

    Each time that it calls Helm, the guest is looked at: between the end of the release and its next installation too.
    """
    before = debian.boot()
    machine = domain_name(cluster.guest_id(NAME))
    asked = {
        "run": shlex.join([*cluster.on_node, "virsh", "domid", machine]),
        "boot": shlex.join([*cluster.on_node, *ssh.command(debian.key.path, debian.address, Debian.BOOT)]),
    }
    seen = tmp_path / "seen"
    looks = "; ".join(
        (
            f'echo "helm $1" >> {seen}',
            *(f"echo {name} $({asked[name]}) >> {seen}" for name in ("run", "boot")),
        )
    )
    watched = fake_programs.put(tmp_path / "bin", "helm", f'{looks}\nexec {helm.find_or_build()} "$@"')
    follow(UNINSTALLING, cluster, tmp_path, programs=watched.parent)

    told = seen.read_text().split("helm ")[1:]
    verbs = [each.split()[0] for each in told]
    installed = verbs.index("install")
    assert verbs[installed - 1] == "uninstall"
    assert f"boot {before}\n" in told[installed]
    runs = {each.split()[2] for each in told[: installed + 1]}
    assert len(runs) == 1, "no machine was started anew"
    assert runs.pop().isdigit()

    assert not debian.answers_ping()
    assert machines(cluster) == []
    assert "innkeeper.dev" not in cluster.kubectl.run("get", "customresourcedefinitions", "--output=name")
    assert cluster.get("namespaces", real_cluster.SYSTEM) is None
    # The page's last step, on the node: who runs this again on a cluster that stays finds a node as it was at first.
    cluster.run_on_node("find", STATE, "-mindepth", "1", "-delete")


def follow(page: Path, cluster: RealCluster, directory: Path, *, programs: Path | None = None) -> None:
    """Run the commands of a page that are for such a cluster; `programs` come before the usual ones."""
    documents.reader_folder(directory)
    usual = (paths.VENV / "bin", helm.find_or_build().parent)
    found = [*([programs] if programs else []), *usual]
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": os.pathsep.join([*map(str, found), os.environ["PATH"]]),
    }
    documents.run(page, directory=directory, environment=environment, on=documents.NODES)
