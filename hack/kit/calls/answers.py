"""A server over TLS that answers each request at once with the same object; it knows nothing of Kubernetes.

Prints its port and goes on until ended. Usage: python -m kit.calls.answers CERTIFICATE KEY
"""

import asyncio
import json
import ssl
import sys

import uvloop

_OBJECT = json.dumps({"kind": "Guest", "metadata": {"name": "g"}, "padding": "x" * 1800}).encode()
_HEAD = (
    "HTTP/1.1 200 OK\r\nAudit-Id: 7f4a2c5e-0000-4000-8000-000000000001\r\nCache-Control: no-cache, private\r\n"
    "Content-Type: application/json\r\nX-Kubernetes-Pf-Flowschema-Uid: 2a4dbeb3-0000-4000-8000-000000000001\r\n"
    "X-Kubernetes-Pf-Prioritylevel-Uid: bb5e4b6b-0000-4000-8000-000000000001\r\n"
    f"Date: Mon, 02 Nov 2026 09:00:00 GMT\r\nContent-Length: {len(_OBJECT)}\r\n\r\n"
)
_ANSWER = _HEAD.encode() + _OBJECT


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(_ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until ended."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
