"""A bridge for bytes from the lab's network to an API server that only this machine reaches.

Used when the cluster is the user's own: hosts of the lab have no way out, so they talk to this address and TLS
goes through untouched. It reads nothing of what it carries.

Usage: forwarder.py LISTEN-ADDRESS LISTEN-PORT HOST PORT
"""

import asyncio
import contextlib
import sys

_CHUNK = 65536


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main() -> None:
    """Accept connections for ever."""
    address, port, target_host, target_port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(target_host, target_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    server = await asyncio.start_server(carry, address, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
