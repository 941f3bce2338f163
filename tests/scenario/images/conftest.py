"""The image server of a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from innkeeper.images.assembly import build
from innkeeper.images.settings import ImagesSettings
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.origins import OriginPolicy
from tests.kit.clock import ManualClock
from tests.scenario.images.image_server import DISK, Bench, PlayedApi


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "debian.raw").write_bytes(DISK)
    api, clock, policy = PlayedApi(), ManualClock(), OriginPolicy(listed_hosts=["127.0.0.1"])
    settings = ImagesSettings(directory=tmp_path, public_url="http://images.test", url_lifetime_s=60)
    async with client_session(policy) as session:
        parts = build(
            settings, client=api, session=session, policy=policy, clock=clock, registry=CollectorRegistry()
        )
        async with TestServer(parts.application) as server, ClientSession() as http:
            yield Bench(api, clock, tmp_path, server, http)
        await parts.close()
