"""The node: starts and ends containerd, kubelet and kube-proxy inside a host of the lab, and loads images into it."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kit import steps
from kit.cluster import control_groups, programs
from kit.cluster import settings as node_settings
from kit.cluster.plan import NODE, SERVICE_CIDR, Cluster
from kit.daemons import Daemon
from kit.lab import machines

KEEPER = Path(__file__).with_name("node_keeper.py")
READY_WITHIN = 90.0
IMAGES_NAMESPACE = "k8s.io"
_POLL = 0.1
_PROGRAMS = ("containerd", "kubelet", "kube-proxy")


def up(cluster: Cluster, files: node_settings.Files, found: dict[str, Path]) -> None:
    """Start what does not run; the host must run.

    Raises:
        StepError: when a program dies.
    """
    _start_keeper(cluster, files)
    steps.run(inside(cluster, ["nft", "-f", files.address_translation]), doing="setting the node's rules")
    # A node without any way out: kube-proxy turns a Service's address into a pod's only where some route fits it.
    route = ["ip", "route", "replace", SERVICE_CIDR, "via", cluster.address]
    steps.run(inside(cluster, route), doing="making the node's way to Services")
    containerd: list[str | Path] = ["containerd", "--config", files.containerd]
    _start(cluster, "containerd", containerd)
    _wait(cluster, lambda: _ctr_answers(cluster), what="containerd")
    load(cluster, programs.pause_archive(cluster.directory))
    kubelet: list[str | Path] = [found[programs.KUBELET], f"--config={files.kubelet}"]
    kubelet += [f"--kubeconfig={files.kubeconfig('kubelet-client')}", f"--hostname-override={NODE}"]
    kubelet += [f"--node-ip={cluster.node_address}", "--root-dir=/var/lib/kubelet"]
    kubelet += ["--node-labels=innkeeper.dev/host=true"]
    _start(cluster, "kubelet", kubelet)
    proxy: list[str | Path] = [
        found[programs.KUBE_PROXY],
        f"--config={files.kube_proxy}",
        f"--hostname-override={NODE}",
    ]
    _start(cluster, "kube-proxy", proxy)


def _start_keeper(cluster: Cluster, files: node_settings.Files) -> None:
    keeper = daemon(cluster, "node")
    ready = cluster.lab.host_directory(NODE) / "run" / "node-ready"
    if not keeper.alive():
        ready.unlink(missing_ok=True)
        control_groups.make(cluster.cgroup)
        mounts = json.dumps(control_groups.mounts())
        isolate = machines.inside(cluster.lab, NODE, ["unshare", "--mount", "--propagation", "private"])
        keeper.start([*isolate, sys.executable, KEEPER, cluster.node_directory, files.network, mounts])
    _wait(cluster, ready.exists, what="the node's file system")


def inside(cluster: Cluster, command: Sequence[str | Path]) -> list[str | Path]:
    """Return the command that runs `command` on the node.

    Raises:
        StepError: when the node does not run.
    """
    pid = daemon(cluster, "node").pid()
    if pid is None:
        raise steps.StepError(
            f"the node of cluster {cluster.name} does not run; start it with `hack/cluster up`"
        )
    return ["nsenter", "--target", str(pid), "--mount", "--uts", "--net", *command]


def load(cluster: Cluster, archive: Path) -> str:
    """Give the node an image from an archive; return what containerd says.

    Raises:
        StepError: when containerd refuses it.
    """
    command: list[str | Path] = ["ctr", "--namespace", IMAGES_NAMESPACE, "images", "import"]
    return steps.run(inside(cluster, [*command, archive.resolve()]), doing=f"loading {archive.name}")


def daemon(cluster: Cluster, name: str) -> Daemon:
    """Return one of the node's processes."""
    return Daemon(name, cluster.directory)


def everyone(cluster: Cluster) -> list[Daemon]:
    """Return the node's processes, in the order of their start."""
    return [daemon(cluster, name) for name in ("node", *_PROGRAMS)]


def down(cluster: Cluster) -> None:
    """End all pods and all processes of the node, its guests last, with the host."""
    for name in ("kubelet", "kube-proxy"):
        daemon(cluster, name).stop(grace=2)
    control_groups.end(cluster.cgroup)
    daemon(cluster, "containerd").stop(grace=2)
    machines.down(cluster.lab, NODE)
    for each in everyone(cluster):
        each.stop(grace=0)


def _start(cluster: Cluster, name: str, command: Sequence[str | Path]) -> None:
    process = daemon(cluster, name)
    if not process.alive():
        process.start(inside(cluster, command))


def _ctr_answers(cluster: Cluster) -> bool:
    try:
        steps.run(inside(cluster, ["ctr", "version"]), doing="asking containerd")
    except steps.StepError:
        return False
    return True


def _wait(cluster: Cluster, check: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not check():
        for each in everyone(cluster):
            if each.pid_file.exists() and not each.alive():
                raise steps.StepError(f"{each.name} died; its log ({each.log_file}) ends:\n{each.log_tail()}")
        if time.monotonic() > deadline:
            raise steps.StepError(f"waited {READY_WITHIN:.0f} s for {what}; logs are in {cluster.directory}")
        time.sleep(_POLL)
