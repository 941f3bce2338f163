"""The bridge that the Cluster names, and the ports that an agent listens on."""

import errno
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
    tried = [
        (f"{address}:{port} ({what})", _why_not(address, port)) for what, address, port in machine.listen
    ]
    if taken := [where for where, why in tried if why is not None and why.errno == errno.EADDRINUSE]:
        return fail(
            f"something else listens at {', '.join(taken)}",
            todo="see what it is (ss -ltnp), or choose other ports (--metrics-port, --api-port)",
        )
    if refused := [f"{where}: {why.strerror or why}" for where, why in tried if why is not None]:
        return fail(
            f"nothing can listen at {'; '.join(refused)}",
            todo="name an address of this machine (--listen, --api-listen), and run this, as the agent, as root",
        )
    return ok("free: " + ", ".join(str(port) for _, _, port in machine.listen))


def _why_not(address: str, port: int) -> OSError | None:
    """Return why nobody can listen there now; None where one can."""
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, place = found[0]
        with socket.create_server(place[:2], family=family):
            return None
    except OSError as error:
        return error
