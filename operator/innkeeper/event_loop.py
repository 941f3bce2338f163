"""The event loop of the operator and of kopf's thread: uvloop, in which each socket is closed once.

It changes nothing else. The agent runs on asyncio's own loop: uvloop has no netlink sockets.
"""

import socket
from typing import Any

import uvloop


class EventLoop(uvloop.Loop):
    """A uvloop that may be given a connected socket."""

    # The signature is that of asyncio with all its options; they are only handed on.
    async def create_connection(self, *args: Any, sock: socket.socket | None = None, **options: Any) -> Any:
        """Connect, as every loop does; a socket that is given is the loop's from then on.

        libuv closes the socket by the number of its descriptor. Where the other side ends the connection in the turn in
        which it is taken over, uvloop does not tell the Python object, which closes the same number again when it is
        collected; by then it may be anybody's: another thread's connection, a file (uvloop's issues 645 and 738 are two
        ways to the same end).
        """
        try:
            return await super().create_connection(*args, sock=sock, **options)
        finally:
            if sock is not None:
                sock.detach()
