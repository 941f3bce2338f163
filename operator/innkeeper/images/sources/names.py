"""The addresses of origins' names, as the system knows them, asked in threads of their own and within a deadline.

The system's resolver blocks, and a name server that is silent holds it for long: the threads that hash images and read
directories must not be the ones that wait. It decides nothing about the addresses.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aiohttp.abc import ResolveResult

from innkeeper.images.sources.source import SourceError

WITHIN_S = 8.0  # a resolver that lost one packet asks again after 5 s
AT_ONCE = 32

AddressInfo = Callable[..., list[tuple[Any, ...]]]


class SystemNames:
    """Asks the system."""

    def __init__(self, *, within_s: float = WITHIN_S, ask: AddressInfo = socket.getaddrinfo) -> None:
        self._within_s = within_s
        self._ask = ask
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="names")

    async def addresses(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """Return the addresses of `host`.

        Raises:
            OSError: it has none.
            SourceError: nobody told them in time.
        """
        asked = partial(self._ask, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        try:
            async with asyncio.timeout(self._within_s):
                found = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        except TimeoutError as error:
            raise SourceError(f"the address of {host} was not found within {self._within_s:g} s") from error
        return [_result(host, each[0], each[2], each[4]) for each in found]

    def close(self) -> None:
        """Let the threads go; one that still waits ends with its question."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _result(host: str, family: int, protocol: int, address: tuple[Any, ...]) -> ResolveResult:
    numeric, port, *more = address
    scope = more[1] if len(more) > 1 else 0
    return ResolveResult(
        hostname=host,
        host=f"{numeric}%{scope}" if scope else numeric,  # an address of one link
        port=port,
        family=family,
        proto=protocol,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
