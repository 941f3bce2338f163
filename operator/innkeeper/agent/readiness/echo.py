"""One ICMP echo (RFC 792, RFC 4443), by a raw socket: the right to one is the only one that is needed."""

import asyncio
import ipaddress
import socket
import struct

_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}
_MOST_BYTES = 2048
_ICMP_FILTER = 1  # of either family's protocol; a bit that is set keeps a type out
_SOL_RAW = 255


async def ping(address: str, *, token: bytes) -> None:
    """Return once the address has echoed `token`; the caller sets the deadline.

    Raises:
        OSError: nothing can be sent there.
    """
    version = ipaddress.ip_address(address).version
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)  # noqa: PLR2004 - the family
    )
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_RAW, protocol) as opened:
        opened.setblocking(False)
        opened.setsockopt(*_answers_alone(version))
        # A raw socket hears all of this host's ICMP: connected, it hears that of one address.
        opened.connect((address, 0))
        await loop.sock_sendall(opened, _request(version, token))
        while True:
            if _is_reply(await loop.sock_recv(opened, _MOST_BYTES), version, token):
                return
            # What is there already is read without waiting: a guest that sends a lot would leave nobody a turn.
            await asyncio.sleep(0)


def _answers_alone(version: int) -> tuple[int, int, bytes]:
    """Return the option of a socket that hears no type but that of answers."""
    if version == 4:  # noqa: PLR2004 - the family
        return _SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _REPLY[4]) & 0xFFFFFFFF)
    words = [0xFFFFFFFF] * 8
    words[_REPLY[6] // 32] &= ~(1 << _REPLY[6] % 32)
    return socket.IPPROTO_ICMPV6, _ICMP_FILTER, struct.pack("=8I", *words)


def _request(version: int, token: bytes) -> bytes:
    blank = struct.pack("!BBHHH", _REQUEST[version], 0, 0, 0, 1) + token
    # For ICMPv6 the kernel fills in the checksum, which covers addresses that it alone chooses.
    return blank if version == 6 else blank[:2] + _checksum(blank) + blank[4:]  # noqa: PLR2004 - the family


def _is_reply(packet: bytes, version: int, token: bytes) -> bool:
    message = packet if version == 6 else packet[(packet[0] & 0x0F) * 4 :]  # noqa: PLR2004 - the family
    return message[:1] == bytes([_REPLY[version]]) and message[8:] == token


def _checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
