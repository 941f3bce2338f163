"""What stands outside the node: the control plane with a scheduler, and this machine's way to pods.

The API server knows its node's kubelet and is reached at this machine's address in the node's network. The way to pods
is one route over the interface that the lab adds; it goes with that interface.
"""

import time
from pathlib import Path

from kit import steps
from kit.cluster import settings as node_settings
from kit.cluster.plan import NODE, SERVICE_CIDR, Cluster
from kit.control_plane import lifecycle, programs, state
from kit.daemons import Daemon
from kit.kubectl import Kubectl

SCHEDULER = programs.SCHEDULER
READY_WITHIN = 120.0
_POLL = 0.3
_READY = '{.status.conditions[?(@.type=="Ready")].status}'


def up(cluster: Cluster) -> tuple[state.ControlPlane, node_settings.Files]:
    """Start control plane and scheduler, and write the node's settings.

    Raises:
        StepError: when one does not start.
    """
    authority = state.ControlPlane(
        name=cluster.name, wishes=state.Wishes(), port=0, etcd_port=0, etcd_peer_port=0, programs={}
    ).authority
    authority.ensure()
    to_kubelets = authority.ensure_client(
        "api-server-to-kubelets", user="kube-apiserver-kubelet-client", group="system:masters"
    )
    wishes = state.Wishes(
        listen=cluster.address,
        advertise=cluster.address,
        controllers="*",
        service_cidr=SERVICE_CIDR,
        api_server_arguments=(
            "--authorization-mode=Node",  # beside RBAC
            "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-certificate-authority={authority.own.certificate}",
            f"--kubelet-client-certificate={to_kubelets.certificate}",
            f"--kubelet-client-key={to_kubelets.key}",
            "--kubelet-preferred-address-types=InternalIP",
        ),
    )
    with lifecycle.one_at_a_time(cluster.name):
        plane, _ = lifecycle.up(cluster.name, wishes)
    files = node_settings.write(cluster, plane.authority, server=plane.url)
    scheduler = daemon(cluster)
    if not scheduler.alive():
        config = files.kubeconfig("kube-scheduler")
        command: list[str | Path] = [
            programs.scheduler(),
            f"--kubeconfig={config}",
            "--leader-elect=false",
            "--secure-port=0",
        ]
        scheduler.start(command)
    return plane, files


def daemon(cluster: Cluster) -> Daemon:
    """Return the scheduler."""
    return Daemon(SCHEDULER, cluster.directory)


def route_to_pods(cluster: Cluster) -> None:
    """Let this machine, and so the API server, reach pods through the node."""
    steps.run(
        ["ip", "route", "replace", cluster.pods, "via", cluster.node_address], doing="making the way to pods"
    )


def wait_until_ready(cluster: Cluster) -> None:
    """Wait until the node says that it is Ready.

    Raises:
        StepError: when it does not in time.
    """
    kubectl = Kubectl(cluster.kubeconfig)
    deadline = time.monotonic() + READY_WITHIN
    while not is_ready(kubectl):
        if time.monotonic() > deadline:
            tail = Daemon("kubelet", cluster.directory).log_tail()
            raise steps.StepError(
                f"the node is not Ready after {READY_WITHIN:.0f} s; its kubelet's log ends:\n{tail}"
            )
        time.sleep(_POLL)


def is_ready(kubectl: Kubectl) -> bool:
    """Tell whether the node is there and Ready."""
    return kubectl.run("get", "node", NODE, "--ignore-not-found", "-o", f"jsonpath={_READY}") == "True"


def down(cluster: Cluster) -> None:
    """End the scheduler and the control plane."""
    daemon(cluster).stop(grace=0)
    with lifecycle.one_at_a_time(cluster.name):
        lifecycle.down(cluster.name)
