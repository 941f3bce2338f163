"""The operator under its own service account, against a real API server with policies and rights in force."""

import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.processes.operator import OperatorProcess
from tests.kit.install import CHECKOUT, install, kubeconfig_of
from tests.kit.operator_process import StubImageServer, leads, running_operator


@pytest.fixture(scope="session")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A control plane of these tests' own: kubeconfigs of the administrator and of the operator."""
    name = f"test-operator-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    script = str(CHECKOUT / "hack" / "control-plane")
    command = [script, "up", "--name", name, "--json"]
    up = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert up.returncode == 0, up.stderr
    admin = Path(json.loads(up.stdout)["kubeconfig"])
    install(admin)
    operator = kubeconfig_of(
        admin,
        namespace="innkeeper-system",
        service_account="innkeeper-operator",
        to=tmp_path_factory.mktemp("operator") / "kubeconfig",
    )
    yield admin, operator
    subprocess.run([script, "down", "--name", name], capture_output=True, timeout=60, check=True)


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
    """An operator that leads."""
    async with running_operator(operator_credentials, images_url=images.url) as process:
        await leads(process)
        yield process


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"t{uuid.uuid4().hex[:8]}"
