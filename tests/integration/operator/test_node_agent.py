"""An agent in a pod: the program itself, with the pod's token, on a real API server with the operator."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import HOST_AGENTS
from innkeeper.views.host import HostAgent
from tests.integration.operator import scene
from tests.kit import host_identities as identities
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.usefixtures("operator")]


async def test_an_agent_in_a_pod_becomes_the_host_of_its_node(
    admin: Client, kubeconfigs: tuple[Path, Path], name: str, tmp_path: Path
) -> None:
    """The pod is there before the Host: the agent waits for its identity, and then reports."""
    pod = await identities.make_pod(admin, name)
    (tmp_path / "pod.token").write_text(await identities.pod_token(admin, pod))
    (tmp_path / "config").write_text(_without_identity(kubeconfigs[0]))
    await scene.infrastructure(admin, name)
    orders = await eventually(lambda: _orders(admin, name), deadline_s=60)
    (tmp_path / "key.pub").write_text(orders.spec.order_keys[0].public_key)
    async with _agent(name, tmp_path):
        found = await eventually(lambda: _reported(admin, name), deadline_s=90)
    assert found.status.driver == "simulated"
    await admin.delete(identities.NODES, name)


@contextlib.asynccontextmanager
async def _agent(node: str, directory: Path) -> AsyncIterator[Process]:
    words = [
        "agent",
        "--node-name",
        node,
        "--node-token-file",
        directory / "pod.token",
        "--driver",
        "simulated",
    ]
    words += ["--order-key-file", directory / "key.pub", "--kubeconfig", directory / "config"]
    words += ["--state-dir", directory / "state", "--metrics-port", "0"]
    program = Path(sys.executable).parent / "innkeeper"
    process = await asyncio.create_subprocess_exec(program, *map(str, words), stdout=DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        async with asyncio.timeout(60):
            await process.wait()


def _without_identity(kubeconfig: Path) -> str:
    """Return a kubeconfig that says where the API server is, as a pod's environment does, and who nobody is."""
    document = json.loads(kubeconfig.read_text())
    document["users"] = [{"name": each["name"], "user": {}} for each in document["users"]]
    return json.dumps(document)


async def _orders(admin: Client, host: str) -> HostAgent | None:
    with contextlib.suppress(NotFoundError):
        return await admin.get(HOST_AGENTS, "host", namespace=names.host_namespace(host))
    return None


async def _reported(admin: Client, host: str) -> HostAgent | None:
    found = await _orders(admin, host)
    return found if found is not None and found.status.store_id else None
