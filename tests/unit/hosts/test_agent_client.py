"""Agents are asked over mutual TLS 1.3; whose certificate does not name the host that is meant is not believed."""

import asyncio
import gzip
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from kit.certificates import Authority

from innkeeper.hosts.client import AgentReader, Agents
from innkeeper.hosts.ports import GapError, HostUnreadError
from tests.kit.told_agent import Pki, agent, hosts_pki, served
from tests.kit.told_host import ToldHost


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return hosts_pki(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def asking(
    pki: Pki, address: str, host: str = "inn-a", *, total_s: float = 60, most_bytes: int = 1 << 20
) -> AsyncIterator[AgentReader]:
    async with Agents(pki.files, total_s=total_s, most_bytes=most_bytes) as agents:
        yield agents.reader(host, address)


async def test_pages_events_and_gaps(pki: Pki) -> None:
    host = ToldHost()
    for number in (1, 2, 3):
        host.hold(number)
    async with served(pki, agent(host)) as address, asking(pki, address) as reader:
        first = await reader.snapshot()
        assert len(first.guests) == 2
        assert first.next_after is not None
        second = await reader.snapshot(after=first.next_after)
        assert (len(second.guests), second.next_after) == (1, None)
        told = await reader.events(store_id=host.store_id, since=1)
        assert [each.seq for each in told.changes] == [2, 3]
        with pytest.raises(GapError, match="does not reach back"):
            await reader.events(store_id="other", since=1)


async def test_who_sits_at_the_address_of_another_host_is_not_believed(pki: Pki) -> None:
    async with served(pki, agent(ToldHost("inn-b"))) as address:
        async with asking(pki, address, "inn-b") as reader:
            with pytest.raises(HostUnreadError, match="certificate"):
                await reader.snapshot()
        async with asking(pki, address, "inn-a") as reader:
            with pytest.raises(HostUnreadError, match="says that it is host 'inn-b'"):
                await reader.snapshot()


async def test_an_authority_that_is_not_the_hosts_own_vouches_for_nobody(pki: Pki, tmp_path: Path) -> None:
    async with served(hosts_pki(tmp_path), agent(ToldHost())) as address, asking(pki, address) as reader:
        with pytest.raises(HostUnreadError):
            await reader.snapshot()


async def test_an_older_tls_is_refused(pki: Pki) -> None:
    old = ssl.TLSVersion.TLSv1_2
    async with served(pki, agent(ToldHost()), most=old) as address, asking(pki, address) as reader:
        with pytest.raises(HostUnreadError):
            await reader.snapshot()


async def test_certificates_that_change_are_read_again(pki: Pki, tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    shutil.copytree(pki.authority.directory, directory)
    mine = Pki(Authority(directory), Authority(directory).pair("operator"), pki.server)
    stranger = hosts_pki(tmp_path / "stranger")
    for name in ("certificate", "key"):
        shutil.copy(getattr(stranger.operator, name), getattr(mine.operator, name))
    async with served(pki, agent(ToldHost())) as address, asking(mine, address) as reader:
        with pytest.raises(HostUnreadError):
            await reader.snapshot()
        for name in ("certificate", "key"):
            shutil.copy(getattr(pki.operator, name), getattr(mine.operator, name))
            os.utime(getattr(mine.operator, name), ns=(0, 7))
        assert (await reader.snapshot()).host == "inn-a"


async def late(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


def packed(body: bytes) -> web.Response:
    """Answer with what was not asked for: what it unpacks to may be a thousand times what came."""
    return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda: web.Response(text="no json"), "cannot be read"),
        (lambda: web.json_response({"host": "inn-a"}), "cannot be read"),
        (lambda: web.Response(body=b"x" * 5000), "larger than 4096 bytes"),
        (lambda: web.json_response({"reason": "Broken", "message": "disk"}, status=500), "500 Broken: disk"),
        (lambda: web.Response(text="<html>", status=502), "answers 502"),
        (lambda: web.Response(text='{"x":' + "[" * 4000, status=500), "answers 500"),
        (lambda: packed(b"x" * 5000), "cannot be read"),
        (lambda: web.Response(status=302, headers={"Location": "https://127.0.0.1:1/"}), "answers 302"),
    ],
)
async def test_an_answer_that_is_no_good_is_an_error(
    pki: Pki, answer: Callable[[], web.Response], match: str
) -> None:
    async def give(_: web.Request) -> web.StreamResponse:
        return answer()

    async with served(pki, give) as address, asking(pki, address, most_bytes=4096) as reader:
        with pytest.raises(HostUnreadError, match=match):
            await reader.snapshot()


async def test_nothing_that_a_host_wants_remembered_is_remembered(pki: Pki) -> None:
    """Else each answer could leave some more in the operator's memory."""
    shown: list[str | None] = []

    async def give(request: web.Request) -> web.StreamResponse:
        shown.append(request.headers.get("Cookie"))
        return web.Response(status=500, headers={"Set-Cookie": "a=" + "x" * 1000})

    async with served(pki, give) as address:
        by_name = address.replace("127.0.0.1", "localhost")  # no cookies are kept of bare addresses
        async with asking(pki, by_name) as reader:
            for _ in range(2):
                with pytest.raises(HostUnreadError, match="answers 500"):
                    await reader.snapshot()
    assert shown == [None, None]


async def test_a_late_answer_is_no_answer(pki: Pki) -> None:
    async with served(pki, late) as address, asking(pki, address, total_s=1) as reader:
        with pytest.raises(HostUnreadError, match="does not answer"):
            await reader.snapshot()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "a b:1"])
async def test_nobody_there(pki: Pki, address: str) -> None:
    # Whoever is asked for the name may keep silent: that is an error too.
    async with asking(pki, address, total_s=1) as reader:
        with pytest.raises(HostUnreadError):
            await reader.snapshot()
