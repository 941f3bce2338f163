"""Writes the same object again and again, 16 at once: with the transport of Innkeeper's client, or with aiohttp.

Prints one line of JSON: microseconds of this process's own time for each call. Both send the same headers and bytes,
with a deadline for each call, and read the whole answer.

Usage: python -m kit.calls.callers innkeeper|aiohttp PORT AUTHORITY CALLS
"""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import uvloop
from yarl import URL

from innkeeper.kube.transport import Call, Transport

AT_ONCE = 16
WITHIN_S = 30.0
_MOST = 1024 * 1024
_PATH = "/apis/innkeeper.dev/v1alpha1/namespaces/default/guests/g/status"
_HEADERS = {
    "User-Agent": "innkeeper-bench",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "Authorization": f"Bearer {'t' * 900}",
}
_BODY = json.dumps({"status": "x" * 1500}).encode()

Write = Callable[[], Awaitable[None]]


@asynccontextmanager
async def innkeeper(url: str, tls: ssl.SSLContext) -> AsyncIterator[Write]:
    """Yield a write by our own transport."""
    transport = Transport(url, tls=tls)

    async def write() -> None:
        async with asyncio.timeout(WITHIN_S):
            answer, body = await transport.whole(Call("PUT", _PATH, _HEADERS, _BODY), most=_MOST)
        if answer.status != 200 or not body:  # noqa: PLR2004 - HTTP's own number
            raise RuntimeError(f"the server answered {answer.status}")

    try:
        yield write
    finally:
        await transport.close()


@asynccontextmanager
async def by_aiohttp(url: str, tls: ssl.SSLContext) -> AsyncIterator[Write]:
    """Yield a write by the peer."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    connector = aiohttp.TCPConnector(limit=64, ssl=tls)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def write() -> None:
            target = URL(url + _PATH, encoded=True)
            async with session.put(target, data=_BODY, headers=_HEADERS, timeout=timeout) as answer:
                if answer.status != 200 or not await answer.read():  # noqa: PLR2004 - HTTP's own number
                    raise RuntimeError(f"the server answered {answer.status}")

        yield write


async def main(who: str, port: str, calls: int, tls: ssl.SSLContext) -> None:
    """Call, and print what it cost."""
    caller = innkeeper if who == "innkeeper" else by_aiohttp
    async with caller(f"https://127.0.0.1:{port}", tls) as write:
        await asyncio.gather(*(write() for _ in range(AT_ONCE)))  # connections are made before the clock runs

        async def several() -> None:
            for _ in range(calls // AT_ONCE):
                await write()

        before = time.process_time()
        await asyncio.gather(*(several() for _ in range(AT_ONCE)))
        used_s = time.process_time() - before
    print(json.dumps({"cpu_us_per_call": round(used_s * 1e6 / (calls // AT_ONCE * AT_ONCE), 1)}))


if __name__ == "__main__":
    trusted = ssl.create_default_context(cadata=Path(sys.argv[3]).read_text())
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[4]), trusted))
