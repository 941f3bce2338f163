"""The event loop of kopf's thread: it knows each connection made in it and ends them all, at once, when asked.

kopf closes its sessions without waiting for the goodbye of their TLS connections. A loop that ends before the other
side has answered leaves the sockets behind, and how long an API server takes to answer is nobody's promise.
"""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from innkeeper.event_loop import EventLoop


class ConnectionsEnd(EventLoop):
    """An event loop that can abort what it connected."""

    def __init__(self) -> None:
        super().__init__()
        # By protocol, aiohttp's, which lives as long as its connection; uvloop's transports take no weak reference.
        self._connections: WeakKeyDictionary[Any, asyncio.Transport] = WeakKeyDictionary()

    # The signature is that of asyncio with all its options; they are only handed on.
    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connect, as every loop does, and remember the connection while it is open."""
        made: Any = await super().create_connection(*args, **options)
        transport, protocol = made
        self._connections[protocol] = transport
        return made

    async def abort_connections(self) -> None:
        """Close every connection without a goodbye, and give the loop the turn in which sockets are closed."""
        for transport in tuple(self._connections.values()):
            transport.abort()
        self._connections.clear()
        await asyncio.sleep(0)
