"""The bridge that the Cluster names, and the ports that an agent listens on."""

import contextlib
import socket
from pathlib import Path

from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine
from innkeeper.agent.only_one import AnotherOneError, only_one

_DEVICES = Path("/sys/class/net")


async def bridge(_: Machine, joined: Joined) -> Finding:
    """Look for the bridge; which one it is, the host's own orders say."""
    if joined.orders is None:
        return ok("not looked at: the Cluster says which bridge, and this machine has not heard of it yet")
    network = joined.orders.network
    if network.managed is not None:
        uplink = network.managed.uplink
        if uplink is not None and not (_DEVICES / uplink).exists():
            return fail(
                f"the uplink {uplink} of the bridge that the agent makes is not there",
                todo="correct spec.network.managed.uplink of the Cluster, or give the network card that name",
            )
        return ok(f"the agent makes the bridge {network.base}")
    if not (_DEVICES / network.base / "bridge").is_dir():
        return fail(
            f"there is no bridge {network.base}",
            todo="make it, lastingly, with this machine's network card in it, or let the agent make one: "
            "spec.network.managed of the Cluster",
        )
    if (_DEVICES / network.base / "operstate").read_text().strip() == "down":
        return warn(f"the bridge {network.base} is down", todo=f"ip link set {network.base} up")
    return ok(f"the bridge {network.base} is there")


async def ports(machine: Machine, _: Joined) -> Finding:
    """Try to listen where the agent does, unless it runs."""
    if machine.paths.lock.exists():
        try:
            with only_one(machine.paths.lock, who="agent"):
                pass
        except AnotherOneError:
            return ok("an agent runs here, and has them")
    taken = [
        f"{address}:{port} ({what})" for what, address, port in machine.listen if not _is_free(address, port)
    ]
    if taken:
        return fail(
            f"something else listens at {', '.join(taken)}",
            todo="see what it is (ss -ltnp), or choose other ports (--metrics-port, --api-port)",
        )
    return ok("free: " + ", ".join(str(port) for _, _, port in machine.listen))


def _is_free(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server((address, port)):
        return True
    return False
