"""A real cluster with the chart in it, as tests see it: install, upgrade, kill pods, look at guests from the node.

By default it is one of `hack/cluster`; with `--k8s-provider kind` one that pytest-kubernetes makes (`kind_cluster`). With
INNKEEPER_E2E_KUBECONFIG it is one that runs already; then INNKEEPER_E2E_ON_NODE is the command that runs a program on its
node, and INNKEEPER_E2E_IMAGES the directory there with the guest image. Whoever gives a cluster has loaded the container
images.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import helm, paths
from kit.cluster import plan
from kit.kubectl import Kubectl
from tests.kit.applied import Applied
from tests.kit.waiting import until

SYSTEM = "innkeeper-system"
RELEASE = "innkeeper"
VALUES = paths.SCRIPTS / "cluster.d" / "values.yaml"
CHART = paths.CHECKOUT / "charts" / "innkeeper"
NAME = "e2e-cluster"
NEXT_VERSION = "9.9.9"
KUBECONFIG, ON_NODE, IMAGES = "INNKEEPER_E2E_KUBECONFIG", "INNKEEPER_E2E_ON_NODE", "INNKEEPER_E2E_IMAGES"
# Slow enough that a guest boots, and agents come and go, while its image still arrives.
FILL_MIB_S = 4
# What a test waits for pods: a busy machine of two processors takes its time.
PODS_WITHIN_S = 240
METRICS_PORT = 9101  # the operator's
PLUGIN = Path(sys.executable).parent / "kubectl-guest"
NODE_WITHIN_S = 300


@dataclass(frozen=True)
class RemoteKey:
    """A key for ssh that lies on the node, and its public half."""

    path: Path
    public: str


@dataclass(frozen=True)
class RealCluster(Applied):
    """A cluster that runs."""

    kubeconfig: Path
    on_node: tuple[str, ...]
    images: str
    """The directory on the node with images for guests."""

    @property
    def kubectl(self) -> Kubectl:
        """The administrator's kubectl."""
        return Kubectl(self.kubeconfig)

    @property
    def node(self) -> str:
        """The name of the one node."""
        return self.kubectl.run("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")

    def run_on_node(self, *command: str, check: bool = True) -> str | None:
        """Run a program on the node; return what it prints, or None where it failed and may."""
        done = subprocess.run(
            [*self.on_node, *command], capture_output=True, text=True, check=False, timeout=NODE_WITHIN_S
        )
        assert done.returncode == 0 or not check, f"{shlex.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout if done.returncode == 0 else None

    @contextmanager
    def new_key(self) -> Iterator[RemoteKey]:
        """Make a key on the node, in a directory that nobody else reads, and remove it in the end."""
        directory = Path((self.run_on_node("mktemp", "--directory", "--tmpdir=/tmp") or "").strip())
        key = directory / "key"
        try:
            self.run_on_node("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
            yield RemoteKey(key, (self.run_on_node("cat", f"{key}.pub") or "").strip())
        finally:
            self.run_on_node("rm", "-r", str(directory))

    def helm(self, *words: str, settings: Mapping[str, Any] | None = None) -> None:
        """Run helm on the release and wait until its pods are ready.

        Helm takes a DaemonSet as ready while as many pods are missing as its rollout may take away: the one of one node.
        """
        command = [
            str(helm.find_or_build()),
            *words,
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={SYSTEM}",
        ]
        command += ["--wait", f"--timeout={PODS_WITHIN_S}s"]
        if settings is not None:
            command.append("--values=-")
        done = subprocess.run(
            command, input=json.dumps(settings), capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}\n{self.pods_told()}"
        agents = "daemonset/innkeeper-agent"
        if self.kubectl.run("get", agents, "-n", SYSTEM, "--ignore-not-found", "--output=name"):
            wait = ("rollout", "status", agents, "-n", SYSTEM, f"--timeout={PODS_WITHIN_S}s")
            self.kubectl.run(*wait, deadline=PODS_WITHIN_S + 20)

    def install(self, **more: object) -> None:
        """Install the chart, or upgrade it, with the values of trial clusters and these on top."""
        words = ["upgrade", "--install", RELEASE, str(CHART), "--create-namespace", f"--values={VALUES}"]
        directory = {"volume": {"hostPath": {"path": self.images}}}
        self.helm(*words, settings={"images": {"directory": directory}, **more})

    def upgrade(self, tag: str = "") -> None:
        """Have agents run on the node, and all parts be of the chart's version, or of another one."""
        keys = until(self._order_keys, what="the keys that orders are signed with", within_s=120)
        agent = {"enabled": True, "orderKeys": keys, "imageFillMibS": FILL_MIB_S, "image": {"tag": tag}}
        self.install(agent=agent, image={"tag": tag})

    def _order_keys(self) -> list[str]:
        found = self.get("hostagents.innkeeper.dev", "host", namespace=f"host-{self.node}") or {}
        return [each["publicKey"] for each in found.get("spec", {}).get("orderKeys", [])]

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return the pods of one part that are not on their way out."""
        found = self.kubectl.get("pods", "-n", SYSTEM, "-l", f"app.kubernetes.io/component={component}") or {}
        return [each for each in found.get("items", []) if "deletionTimestamp" not in each["metadata"]]

    def kill(self, component: str) -> None:
        """Kill every pod of one part at once, and wait until others stand in their place."""
        killed = {each["metadata"]["uid"] for each in self.pods(component)}
        selector = f"app.kubernetes.io/component={component}"
        self.kubectl.run("delete", "pods", "-n", SYSTEM, "-l", selector, "--force", "--grace-period=0")
        until(
            lambda: len(self._ready(component, but_not=killed)) == len(killed),
            what=f"pods of {component} in place of those that were killed",
            within_s=PODS_WITHIN_S,
        )

    def says(self, component: str, *command: str) -> str:
        """Run a program in a pod of one part and return what it prints."""
        pod = str(self.pods(component)[0]["metadata"]["name"])
        return self.kubectl.run("exec", "-n", SYSTEM, pod, "--", *command)

    def version_of(self, component: str) -> str:
        """Return the version that a pod of one part says it has."""
        return str(json.loads(self.says(component, "innkeeper", "version", "-o", "json"))["version"])

    def metrics(self, component: str) -> list[str]:
        """Return what each pod of one part tells Prometheus."""
        pods = (each["metadata"]["name"] for each in self.pods(component))
        base = f"/api/v1/namespaces/{SYSTEM}/pods"
        return [
            self.kubectl.run("get", "--raw", f"{base}/{pod}:{METRICS_PORT}/proxy/metrics") for pod in pods
        ]

    def plugin(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `kubectl guest` as a person does."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            [PLUGIN, *words], capture_output=True, text=True, check=False, timeout=120, env=environment
        )

    def pods_told(self) -> str:
        """Return what pods stand there, for the message of a failure."""
        return self.kubectl.run("get", "pods,events", "-n", SYSTEM, "-o", "wide")

    def _ready(self, component: str, *, but_not: set[str]) -> list[str]:
        return [
            each["metadata"]["name"]
            for each in self.pods(component)
            if each["metadata"]["uid"] not in but_not
            for condition in each.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]


def given(environment: Mapping[str, str] = os.environ) -> RealCluster | None:
    """Return the cluster that the environment names, or None where it names none."""
    kubeconfig = environment.get(KUBECONFIG)
    if kubeconfig is None:
        return None
    return RealCluster(
        Path(kubeconfig).resolve(), tuple(shlex.split(environment[ON_NODE])), environment[IMAGES]
    )


def own() -> RealCluster:
    """Start a cluster of this machine's own."""
    hack("cluster", "up", "--name", NAME)
    cluster = plan.load(NAME)
    assert cluster is not None
    on_node = (sys.executable, str(paths.SCRIPTS / "cluster"), "exec", "--name", NAME, "--")
    return RealCluster(cluster.kubeconfig, on_node, str(paths.cache_root() / "guest-image"))


def hack(script: str, *words: str) -> str:
    """Run one of the scripts and return what it prints."""
    command = [sys.executable, str(paths.SCRIPTS / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
