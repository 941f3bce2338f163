"""A ping by the agent: only answers are heard, and a guest that sends many of them leaves others their turn."""

import asyncio
import socket

import pytest

from innkeeper.agent.readiness import echo

pytestmark = pytest.mark.lab

TOKEN = b"sixteen bytes ok"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("address", "kind", "at"), [("127.0.0.1", 0, 20), ("::1", 129, 0)])
async def test_only_answers_are_heard(
    monkeypatch: pytest.MonkeyPatch, address: str, kind: int, at: int
) -> None:
    """On the host's own loopback the question comes by, too."""
    loop = asyncio.get_running_loop()
    receive, heard = loop.sock_recv, []

    async def noted(opened: socket.socket, most: int) -> bytes:
        heard.append(await receive(opened, most))
        return heard[-1]

    monkeypatch.setattr(loop, "sock_recv", noted)
    async with asyncio.timeout(60):
        await echo.ping(address, token=TOKEN)
    assert [message[at] for message in heard] == [kind]


@pytest.mark.usefixtures("site")
async def test_a_flood_of_answers_leaves_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there already is read without waiting, and so is the next."""
    loop = asyncio.get_running_loop()
    reads: list[int] = []

    async def flood(_opened: socket.socket, most: int) -> bytes:
        assert len(reads) < 100, "nobody else had a turn"
        reads.append(most)
        loop.call_soon(pinging.cancel)
        return b"\x81" + bytes(7) + b"another token..."

    monkeypatch.setattr(loop, "sock_recv", flood)
    pinging = asyncio.create_task(echo.ping("::1", token=TOKEN))
    with pytest.raises(asyncio.CancelledError):
        await pinging
