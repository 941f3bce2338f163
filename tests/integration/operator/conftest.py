"""The operator under its own service account, against a real API server with policies and rights in force."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.processes.operator import OperatorProcess
from tests.kit.operator_process import StubImageServer, leads, running_operator
from tests.kit.own_plane import own_plane


@pytest.fixture(scope="session")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A control plane of these tests' own: kubeconfigs of the administrator and of the operator."""
    with own_plane("operator", tmp_path_factory.mktemp("operator")) as plane:
        yield plane.admin, plane.operator


@pytest.fixture
async def admin(kubeconfigs: tuple[Path, Path]) -> AsyncIterator[Client]:
    """A client with every right."""
    async with Client(Credentials.from_kubeconfig(kubeconfigs[0])) as client:
        yield client


@pytest.fixture
def operator_credentials(kubeconfigs: tuple[Path, Path]) -> Credentials:
    """The operator's own credentials."""
    return Credentials.from_kubeconfig(kubeconfigs[1])


@pytest.fixture
async def images() -> AsyncIterator[StubImageServer]:
    """The image server that the operator asks."""
    async with StubImageServer() as server:
        yield server


@pytest.fixture
async def operator(
    operator_credentials: Credentials, images: StubImageServer
) -> AsyncIterator[OperatorProcess]:
    """An operator that leads, and looks at Ready images every second."""
    async with running_operator(operator_credentials, images_url=images.url, image_recheck_s=1) as process:
        await leads(process)
        yield process


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"t{uuid.uuid4().hex[:8]}"
