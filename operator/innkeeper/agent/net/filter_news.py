"""News of the kernel's packet filter: that something of a table of ours was removed, told by netlink as it happens.

Linux tells of all tables, those of other programs too, so a message is looked at no further than for its table's name
(linux/netfilter/nf_tables.h). What is added is not told: each start of a guest adds rules.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Iterator

_NETLINK_NETFILTER = 12
_GROUP_NFTABLES = 7
_NFTABLES = 10 << 8  # the subsystem, in a message's type
_REMOVED = frozenset({_NFTABLES | kind for kind in (2, 5, 8)})  # a table, a chain, a rule
_NAME_OF_TABLE = 1  # the attribute, the same one in all three
_HEADER = struct.Struct("=IH10x")  # length and type (netlink(7))
_ATTRIBUTE = struct.Struct("=HH")  # length and type
_FAMILY_BYTES = 4  # behind the header
_MOST_BYTES = 256 * 1024


async def removals(table: str) -> AsyncIterator[None]:
    """Yield whenever rules, chains or the whole of a table may have been removed, in whatever family.

    Raises:
        OSError: nothing can be heard here.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER) as opened:
        opened.setblocking(False)
        opened.bind((0, 1 << (_GROUP_NFTABLES - 1)))
        while True:
            if await _is_told(opened, table):
                yield
            await asyncio.sleep(0)  # where others make thousands of rules, all else has its turn


async def _is_told(opened: socket.socket, table: str) -> bool:
    try:
        news = await asyncio.get_running_loop().sock_recv(opened, _MOST_BYTES)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        return True  # some were lost
    return len(news) == _MOST_BYTES or table in removed_from(news)


def removed_from(news: bytes) -> Iterator[str]:
    """Yield the name of the table of each removal in what netlink told; damaged messages say nothing."""
    for kind, body in _parts(news, _HEADER):
        if kind in _REMOVED:
            for attribute, value in _parts(body[_FAMILY_BYTES:], _ATTRIBUTE):
                if attribute == _NAME_OF_TABLE:
                    yield value.rstrip(b"\0").decode(errors="replace")


def _parts(data: bytes, head: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of messages or attributes that follow one another, each at a multiple of four bytes."""
    while len(data) >= head.size:
        length, kind = head.unpack_from(data)
        if length < head.size or length > len(data):
            return
        yield kind, data[head.size : length]
        data = data[-(-length // 4) * 4 :]
