"""Rules that somebody removes come back at once: no guest is without its filter until the next look."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from innkeeper.agent.net import filter_news
from innkeeper.agent.net.border import TABLE
from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import ports_of
from innkeeper.clock import SystemClock
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.agent_orders import order
from tests.kit.host_net import HostNet
from tests.kit.waiting import eventually, one_turn, settled

pytestmark = pytest.mark.lab

WANTED = Wanted(Network(managed=ManagedBridge(nat=True)), (order(),))
(PORT,) = ports_of(order(), WANTED.network)
NEVER_S = 3600.0


def nft(*words: str) -> str:
    """Run nft where the test lives: at the host."""
    done = subprocess.run(["nft", "-s", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"nft {' '.join(words)}: {done.stderr}"
    return done.stdout


@contextlib.asynccontextmanager
async def kept(site: HostNet) -> AsyncIterator[list[float]]:
    """Have an agent keep the network that looks by itself once and never again; give when it looked."""
    looks: list[float] = []

    def wanted() -> Wanted:
        looks.append(time.monotonic())
        return WANTED

    network = HostNetwork(
        site.directory / "network", clock=SystemClock(), registry=CollectorRegistry(), look_again_s=NEVER_S
    )
    keeping = asyncio.create_task(network.run(wanted, on_trouble=lambda: None))
    try:
        yield looks
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


@pytest.mark.parametrize(
    "removal",
    [
        ("flush", "ruleset"),
        ("delete", "table", "bridge", TABLE),
        ("flush", "chain", "bridge", TABLE, PORT.device),
        ("flush", "table", "inet", TABLE),
    ],
    ids=" ".join,
)
async def test_what_somebody_removes_comes_back_at_once(site: HostNet, removal: tuple[str, ...]) -> None:
    """As `nft flush ruleset` does, which restarts of a firewall begin with."""
    async with kept(site) as looks:

        async def is_whole() -> bool:
            ruleset = nft("list", "ruleset")
            return f"ether saddr != {PORT.mac}" in ruleset and "masquerade" in ruleset

        await eventually(is_whole, deadline_s=30)
        await settled(lambda: len(looks), for_s=1)  # those that its own changes ask for are over
        nft(*removal)
        assert not await is_whole()
        await eventually(is_whole, deadline_s=5)


async def test_what_others_remove_of_their_own_is_not_told(site: HostNet) -> None:
    """A proxy that makes its rules anew every second costs no look."""
    assert site.host
    told = 0

    async def count() -> None:
        nonlocal told
        async for _ in filter_news.removals(TABLE):
            told += 1

    counting = asyncio.create_task(count())
    await one_turn()
    try:
        for table in ("proxy", TABLE):
            nft("add", "table", "inet", table)
            nft("add", "chain", "inet", table, "nat")
            nft("add", "rule", "inet", table, "nat", "accept")
        nft("flush", "table", "inet", "proxy")
        nft("delete", "table", "inet", "proxy")
        nft("flush", "table", "inet", TABLE)
        await eventually(lambda: told == 1, deadline_s=5)
    finally:
        counting.cancel()
        await asyncio.wait({counting})
