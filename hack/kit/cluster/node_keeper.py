"""The first process of the node, inside a host of the lab: makes what kubelet and containerd need, then only waits.

It runs in a mount namespace of its own inside the host's, so the host's libvirt sees none of it: control groups are
there, mounts are shared with pods, and directories of Kubernetes are the node's own. Containers that lose their parent
become its children, so that none stays behind as a zombie.

Usage: node_keeper.py DIRECTORY NETWORK-FILE CONTROL-GROUP-MOUNTS
"""

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kit import first_process

PRIVATE = (
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    "/etc/cni",
)
READY = Path("/run/node-ready")
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def main() -> int:
    """Make the node and keep it until it is told to end."""
    directory, network = Path(sys.argv[1]), Path(sys.argv[2])
    first_process.adopt_orphans()
    for path in PRIVATE:
        own = directory / path.strip("/").replace("/", "-")
        own.mkdir(parents=True, exist_ok=True)
        Path(path).mkdir(parents=True, exist_ok=True)
        first_process.mount("--bind", str(own), path)
    for kind, place, options in json.loads(sys.argv[3]):
        Path(place).mkdir(parents=True, exist_ok=True)
        first_process.mount("-t", kind, "-o", options, kind, place)
    first_process.mount("--make-rshared", "/")
    settings = Path("/etc/cni/net.d")
    settings.mkdir(exist_ok=True)
    shutil.copy(network, settings / "10-pods.conflist")
    _FORWARDING.write_text("1")
    READY.touch()
    first_process.reap_until_told_to_end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
