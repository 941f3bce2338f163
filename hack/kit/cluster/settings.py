"""The settings of kubelet, kube-proxy, containerd and the pods' network, as the files that they read.

Pure but for `write`. Nothing is asked of the machine that a small virtual one lacks: no swap off, no newer control
groups, no free share of its disk, no lowered OOM scores.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from kit import kubeconfig
from kit.certificates import Authority
from kit.cluster.plan import NODE, Cluster
from kit.cluster.programs import PAUSE_TAG

CNI_PROGRAMS = "/usr/lib/cni"  # where Debian's containernetworking-plugins puts them
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_NEVER = {
    "memory.available": "0%",
    "nodefs.available": "0%",
    "nodefs.inodesFree": "0%",
    "imagefs.available": "0%",
}

_CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni}"
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""

# Pods reach what lies outside as the node does. What they say to Services is handled by kube-proxy.
_ADDRESS_TRANSLATION = """\
table ip innkeeper-node {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {pods} ip daddr != {pods} masquerade
  }}
}}
"""


@dataclass(frozen=True)
class Files:
    """Where the settings of one cluster's node lie."""

    directory: Path

    @property
    def containerd(self) -> Path:
        """What containerd reads."""
        return self.directory / "containerd.toml"

    @property
    def kubelet(self) -> Path:
        """A KubeletConfiguration."""
        return self.directory / "kubelet.json"

    @property
    def kube_proxy(self) -> Path:
        """A KubeProxyConfiguration."""
        return self.directory / "kube-proxy.json"

    @property
    def network(self) -> Path:
        """The pods' network, which goes to /etc/cni/net.d."""
        return self.directory / "pods.conflist"

    @property
    def address_translation(self) -> Path:
        """Rules for nft."""
        return self.directory / "address-translation.nft"

    def kubeconfig(self, name: str) -> Path:
        """The way of one program to the API server."""
        return self.directory / f"{name}.kubeconfig"


def write(cluster: Cluster, authority: Authority, *, server: str) -> Files:
    """Write all files, certificates and kubeconfigs of the node."""
    files = Files(cluster.directory / "settings")
    files.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority.issue_server("kubelet", alternative_names=[NODE, cluster.node_address])
    for name, user, group in (
        ("kubelet-client", f"system:node:{NODE}", "system:nodes"),
        ("kube-proxy", "system:kube-proxy", None),
        ("kube-scheduler", "system:kube-scheduler", None),
    ):
        client = authority.ensure_client(name, user=user, group=group)
        trust = authority.own.certificate
        path = files.kubeconfig(name)
        kubeconfig.write(path, server=server, authority=trust, client=client, user=name, cluster=cluster.name)
    files.containerd.write_text(
        _CONTAINERD.format(socket=CONTAINERD_SOCKET, pause=PAUSE_TAG, cni=CNI_PROGRAMS)
    )
    files.address_translation.write_text(_ADDRESS_TRANSLATION.format(pods=cluster.pods))
    (files.directory / "resolv.conf").write_text("")
    for path, document in (
        (files.kubelet, kubelet(cluster, authority, files)),
        (files.kube_proxy, kube_proxy(cluster, files)),
        (files.network, network(cluster)),
    ):
        path.write_text(json.dumps(document, indent=2) + "\n")
    return files


def kubelet(cluster: Cluster, authority: Authority, files: Files) -> dict[str, object]:
    """Return the kubelet's configuration."""
    serving = authority.pair("kubelet")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.own.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cluster.cgroup}",
        "enforceNodeAllocatable": [],
        "evictionHard": _NEVER,
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "readOnlyPort": 0,
        # There is no name server: pods find Services by their addresses.
        "resolvConf": str(files.directory / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def kube_proxy(cluster: Cluster, files: Files) -> dict[str, object]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(files.kubeconfig("kube-proxy"))},
        "clusterCIDR": cluster.pods,
        "mode": "nftables",
        # Pods of one node share a bridge: an answer must come back the way that the question went.
        "nftables": {"masqueradeAll": True},
        # A small machine may not let itself be asked for these.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def network(cluster: Cluster) -> dict[str, object]:
    """Return the network of pods: one bridge, addresses kept on the node."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": cluster.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}
