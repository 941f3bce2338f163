"""The same tests against the fake API server and a real one: what differs would be a lie of the fake."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import NAMESPACES
from tests.kit.fake_api import FakeApi


@dataclass(frozen=True)
class Api:
    """One API server, a client of it with an administrator's rights, and a namespace of the test's own."""

    credentials: Credentials
    client: Client
    namespace: str
    fake: FakeApi | None = None


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.control_plane)])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """Each kind of API server in turn."""
    namespace = f"test-{uuid.uuid4().hex[:10]}"
    if request.param == "fake":
        async with FakeApi() as fake, Client(fake.credentials()) as client:
            await client.create(NAMESPACES, {"metadata": {"name": namespace}})
            yield Api(fake.credentials(), client, namespace, fake)
        return
    kubeconfig: Path = request.getfixturevalue("control_plane")
    credentials = Credentials.from_kubeconfig(kubeconfig)
    async with Client(credentials) as client:
        await client.create(NAMESPACES, {"metadata": {"name": namespace}})
        yield Api(credentials, client, namespace)
        await client.delete(NAMESPACES, namespace)
