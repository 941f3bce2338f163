"""A host's network in namespaces of its own: a host with a bridge, a wire with another machine, and guests.

A guest here is a namespace behind the very device that its machine would have: what it sends is what a guest sends.
Everything is the kernel's own; nothing of this machine's network is touched.
"""

import contextlib
import ctypes
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from innkeeper.agent.net.ports import Port

_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
BRIDGE = "br0"


def ip(*words: str) -> str:
    """Run ip."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread live in a network namespace; what it opens or starts stays there."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert libc.setns(there, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert libc.setns(before, _CLONE_NEWNET) == 0
        os.close(before)
        os.close(there)


def pings(namespace: str, address: str) -> bool:
    """Tell whether an address answers a ping from a namespace."""
    command = ["ip", "netns", "exec", namespace, "ping", "-n", "-c", "1", "-W", "2", address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Ear:
    """Hears every frame that comes to one device."""

    def __init__(self, namespace: str, device: str) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self._socket.bind((device, _ETH_P_ALL))
        self.frames: list[bytes] = []

    def send(self, frame: bytes) -> None:
        """Send a frame out of the device."""
        self._socket.send(frame.ljust(60, b"\0"))

    def hear(self, part: bytes, *, within_s: float = 5.0) -> bytes:
        """Wait for a frame that holds `part`; all that came before is kept in `frames`."""
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._socket], [], [], left)
            if ready:
                frame, address = self._socket.recvfrom(4096)
                if address[2] == socket.PACKET_OUTGOING:
                    continue
                self.frames.append(frame)
                if part in frame:
                    return frame
        raise AssertionError(f"no frame with {part!r} came within {within_s} s")

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@dataclass
class HostNet:
    """One host (`host`) and one other machine on its wire (`wire`, device `eth0`)."""

    name: str
    directory: Path
    ears: list[Ear] = field(default_factory=list)
    guests: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The namespace of the host."""
        return f"{self.name}-host"

    @property
    def wire(self) -> str:
        """The namespace of the other machine."""
        return f"{self.name}-wire"

    def make(self) -> None:
        """Make host, bridge and wire."""
        for each in (self.host, self.wire):
            ip("netns", "add", each)
            ip("-n", each, "link", "set", "lo", "up")
        ip("-n", self.host, "link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        ip("-n", self.host, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.wire)
        ip("-n", self.host, "link", "set", "eth0", "master", BRIDGE, "up")
        ip("-n", self.host, "link", "set", BRIDGE, "up")
        ip("-n", self.wire, "link", "set", "eth0", "up")

    def plug(self, port: Port, *, bridge: str = BRIDGE) -> str:
        """Start a guest behind its port; return its namespace, where its card is `eth0`."""
        guest = f"{self.name}-{port.device[-4:]}"
        ip("netns", "add", guest)
        self.guests.append(guest)
        ip(
            "-n",
            self.host,
            "link",
            "add",
            port.device,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            guest,
        )
        # dhclient ends where the link-local address is still being asked about.
        ip("netns", "exec", guest, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
        ip("-n", guest, "link", "set", "eth0", "address", port.mac, "up")
        ip("-n", self.host, "link", "set", port.device, "master", bridge, "up")
        return guest

    def unplug(self, guest: str) -> None:
        """End a guest; its port goes with it."""
        # A namespace goes in its own time.
        ip("-n", guest, "link", "delete", "eth0")
        ip("netns", "delete", guest)
        self.guests.remove(guest)

    def ear(self, namespace: str, device: str = "eth0") -> Ear:
        """Listen at a device."""
        ear = Ear(namespace, device)
        self.ears.append(ear)
        return ear

    def reboot(self) -> None:
        """Take the power of the host, of its guests and of the wire: only files are left, and the process that asks."""
        self.remove()
        self.ears.clear()
        self.guests.clear()
        self.make()

    def remove(self) -> None:
        """Leave nothing behind."""
        for ear in self.ears:
            ear.close()
        for each in (*self.guests, self.host, self.wire):
            pids = subprocess.run(["ip", "netns", "pids", each], capture_output=True, text=True, check=False)
            for pid in {int(each) for each in pids.stdout.split()} - {os.getpid()}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            subprocess.run(["ip", "netns", "delete", each], capture_output=True, check=False)
