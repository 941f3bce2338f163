"""The first process of a lab's host: makes its private file system, starts its libvirt, then only waits.

It runs inside the host's network and mount namespaces. Daemons that fork themselves away become its children, so
that none stays behind as a zombie. It never starts the agent and never touches a guest.

Usage: machine_keeper.py HOST-NAME DIRECTORY
"""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kit import first_process

PRIVATE = (
    "/run",
    "/var/lib/libvirt",
    "/etc/libvirt",
    "/var/log/libvirt",
    "/var/cache/libvirt",
    "/var/lib/innkeeper",
)
COPIED = ("/etc/libvirt",)
DEVICES = ("/dev/kvm",)
READY = Path("/run/machine-ready")


def main() -> int:
    """Make the machine and keep it until it is told to end."""
    name, directory = sys.argv[1], Path(sys.argv[2])
    first_process.adopt_orphans()
    socket.sethostname(name)
    for path in PRIVATE:
        _make_private(path, directory)
    for device in DEVICES:
        _make_own_device(device, directory)
    Path("/run/lock").mkdir()
    subprocess.run(["virtlogd", "-d"], check=True, stdin=subprocess.DEVNULL)
    subprocess.run(["libvirtd", "-d"], check=True, stdin=subprocess.DEVNULL)
    READY.touch()
    first_process.reap_until_told_to_end()
    return 0


def _make_private(path: str, directory: Path) -> None:
    """Give this machine its own version of a directory; it starts empty unless it holds settings."""
    own = directory / path.strip("/").replace("/", "-")
    shutil.rmtree(own, ignore_errors=True) if path == "/run" else None
    if not own.exists():
        if path in COPIED:
            shutil.copytree(path, own, symlinks=True)
        else:
            own.mkdir(parents=True)
            own.chmod(0o755)
    Path(path).mkdir(parents=True, exist_ok=True)
    first_process.mount("--bind", str(own), path)


def _make_own_device(path: str, directory: Path) -> None:
    """Lay a node with open rights over a device: libvirt probes QEMU for a minute where it may not open it."""
    device = Path(path)
    if not device.exists():
        return
    own = directory / "devices"
    own.mkdir(exist_ok=True)
    first_process.mount("-t", "tmpfs", "-o", "dev,mode=0755", "tmpfs", str(own))
    number = device.stat().st_rdev
    node = own / device.name
    os.mknod(node, stat.S_IFCHR | 0o666, number)
    node.chmod(0o666)
    first_process.mount("--bind", str(node), path)


if __name__ == "__main__":
    sys.exit(main())
