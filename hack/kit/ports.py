"""Free TCP ports for servers that come and go.

They are taken from below the range that the kernel gives to outgoing connections, so that a port stays free
while its server restarts. Between the choice and the server's own bind another process may take the port: the
caller must be ready to choose again.
"""

import random
import socket
from pathlib import Path

from kit import steps

_LOWEST = 20000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200


def choose(count: int, *, address: str) -> list[int]:
    """Return that many different ports that nobody listens on at `address` now.

    Raises:
        StepError: when nearly all are in use.
    """
    highest = min(int(_RANGE_FILE.read_text().split()[0]), 32768) - 1
    lowest = min(_LOWEST, highest - 2000)
    chosen: list[int] = []
    for _ in range(_TRIES):
        # Not for secrets: chance only keeps two scripts that start at once from the same choice.
        port = random.SystemRandom().randint(lowest, highest)
        if port not in chosen and is_free(port, address=address):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise steps.StepError(f"found no {count} free ports from {lowest} to {highest} at {address}")


def is_free(port: int, *, address: str) -> bool:
    """Tell whether a server could listen on the port now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
