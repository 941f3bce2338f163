"""Asks the wire whether somebody has an address already, before a guest is given it (RFC 5227, RFC 4862).

It sends a few questions out of the bridge, where the hosts' common network and the guests of this host hear them, and
waits a moment for an answer. Another machine's question for the same address counts as one: both are about to take it.
Silence is no proof; it is what a machine that takes an address goes by, too.
"""

import asyncio
import contextlib
import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterator, Sequence

from innkeeper.agent.net import claim_filter, packets
from innkeeper.agent.net.links import Link
from innkeeper.agent.store.records import AddressInUse

QUESTIONS = 3
PAUSE_S = 0.075
LISTEN_S = 0.075  # after the last question

_ETH_P_ALL = 3
_SOL_PACKET, _ADD_MEMBERSHIP, _ALL_MULTICAST = 263, 1, 2
_ATTACH_FILTER = 26
_MOST_BYTES = 2048
_MOST_AT_ONCE = 64  # frames that are read before others of the agent have their turn


async def in_use(bridge: Link, addresses: Sequence[str], *, own_mac: str | None) -> AddressInUse | None:
    """Return the first of some addresses that somebody answers or asks for, too, or None after a short silence.

    `own_mac` is that of the guest itself where it runs here already. Else whoever answers with it is another machine,
    such as the guest's own one on a host that was given up.

    Raises:
        OSError: nothing can be sent out of this bridge.
    """
    asked = {str(ipaddress.ip_address(each)): ipaddress.ip_address(each) for each in addresses}
    with _socket(bridge) as opened:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[AddressInUse] = loop.create_future()

        def heard() -> None:
            for frame in _frames(opened):
                claim = packets.claim(frame)
                if (
                    claim is not None
                    and claim[0] in asked
                    and claim[1] not in (bridge.mac, own_mac)
                    and not found.done()
                ):
                    found.set_result(AddressInUse(*claim))

        loop.add_reader(opened, heard)
        try:
            for pause_s in (*(PAUSE_S for _ in range(QUESTIONS - 1)), PAUSE_S + LISTEN_S):
                for each in asked.values():
                    opened.send(packets.question(each, bridge.mac))
                await asyncio.wait({found}, timeout=pause_s)
                if found.done():
                    return found.result()
            return None
        finally:
            loop.remove_reader(opened)


def _socket(bridge: Link) -> socket.socket:
    # Of no protocol it hears nothing: until it is bound it would hear all links.
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setblocking(False)
    steps = claim_filter.program()
    code = ctypes.create_string_buffer(b"".join(steps))
    opened.setsockopt(
        socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(steps), ctypes.addressof(code))
    )
    opened.bind((bridge.name, _ETH_P_ALL))
    # An answer to a question from nobody goes to all nodes.
    request = struct.pack("IHH8s", bridge.index, _ALL_MULTICAST, 0, b"")
    opened.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
    return opened


def _frames(opened: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # nothing more to read, or the bridge went away
        for _ in range(_MOST_AT_ONCE):
            yield opened.recv(_MOST_BYTES)
