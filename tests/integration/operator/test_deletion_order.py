"""`kubectl delete -f dir/` ends clean in any order: whatever goes first, guests leave their hosts and nothing is left.

The real operator, API server and controller manager, which empties namespaces; agents that obey. Orders are random, each
from a seed that its test's name shows.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import GUESTS, IP_ADDRESSES, NAMESPACES
from tests.integration.operator import scene
from tests.kit.install import run
from tests.kit.journal import OWN
from tests.kit.operator_process import StubImageServer, leads, running_operator
from tests.kit.scripted_agent import ScriptedAgent
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400)]

Document = dict[str, Any]
LONG_AGO = "2026-01-01T00:00:00Z"
GONE_WITHIN_S = 150


def manifests(name: str) -> list[Document]:
    """Return an account with three guests and all that they need, on two hosts."""

    def own(kind: str, spec: Document, called: str = name, namespace: str | None = None) -> Document:
        metadata = {"name": called, **({"namespace": namespace} if namespace else {})}
        return {"apiVersion": "innkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}

    image = {"source": {"directory": {"path": "disk.raw"}}, "format": "raw", "digest": scene.DIGEST}
    pool = {"cidr": "192.0.2.0/24", "addressSpace": name, "clusters": [name]}
    guest = {
        "flavor": name,
        "image": {"name": name},
        "interfaces": [{"pool": name}],
        "placement": {"cluster": name},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        own("Cluster", {"network": {"bridge": "br0"}}),
        own("IPPool", pool),
        own("Flavor", {"cpu": "1", "memory": "1Gi", "disk": "2Gi"}),
        own("Image", image, namespace=name),
        *(own("Host", {"cluster": name}, f"{name}-{host}") for host in "ab"),
        *(own("Guest", guest, f"{name}-{number}", name) for number in range(3)),
    ]


class Account:
    """The directory, and ways to apply and to delete all of it."""

    def __init__(self, admin: Client, kubeconfig: Path, name: str, directory: Path) -> None:
        self.name = name
        self._admin = admin
        self._kubeconfig = kubeconfig
        self._directory = directory

    async def apply(self) -> None:
        """Apply all, in the order in which it can be."""
        self._write(manifests(self.name))
        await self._kubectl("apply", "--server-side")

    async def delete(self, *options: str, seed: int) -> None:
        """Delete the directory, whose files lie in a random order."""
        documents = manifests(self.name)
        Random(seed).shuffle(documents)  # noqa: S311 - the same order each time
        self._write(documents)
        await self._kubectl("delete", "--ignore-not-found", *options)

    def _write(self, documents: list[Document]) -> None:
        for left in self._directory.glob("*.json"):
            left.unlink()
        for number, document in enumerate(documents):
            (self._directory / f"{number:02}.json").write_text(json.dumps(document))

    async def _kubectl(self, *arguments: str) -> None:
        await asyncio.to_thread(run, self._kubeconfig, *arguments, f"--filename={self._directory}")

    async def runs(self) -> None:
        """Wait until all guests run."""

        async def all_run() -> bool:
            guests = (await self._admin.list(GUESTS, namespace=self.name)).items
            return [each.status.conditions[3].status for each in guests] == ["True"] * 3

        await eventually(lambda: _index(all_run), deadline_s=60)

    async def is_gone(self, operator: Client) -> None:
        """Wait until nothing of it is left, addresses that rest apart; then let their rest be over."""
        await eventually(lambda: self._left(except_for="IPAddress"), deadline_s=GONE_WITHIN_S)
        for address in (await self._admin.list(IP_ADDRESSES)).items:
            if address.spec.address_space == self.name:
                assert address.spec.owner is None, "it was released"
                rested = {"spec": {"releasedAt": LONG_AGO}}
                await operator.patch(IP_ADDRESSES, address.metadata.name, rested)
        await eventually(lambda: self._left(except_for=""), deadline_s=60)

    async def _left(self, *, except_for: str) -> bool:
        left = [
            f"{kind} {each.metadata.name}: {each.metadata.finalizers}"
            for kind, resource in OWN.items()
            if kind != except_for
            for each in (await self._admin.list(resource)).items
            if each.metadata.name.startswith(self.name) or self.name in each.metadata.namespace
        ]
        namespaces = (await self._admin.list(NAMESPACES)).items
        left += [each.metadata.name for each in namespaces if self.name in each.metadata.name]
        assert not left, f"left: {left}"
        return True


async def _index(check: Any) -> bool:
    """Take conditions that are not there yet for "not yet"."""
    try:
        return bool(await check())
    except (IndexError, NotFoundError):
        return False


@pytest.fixture
async def account(
    admin: Client, kubeconfigs: tuple[Path, Path], name: str, tmp_path: Path
) -> AsyncIterator[Account]:
    """An account that is not applied yet, and agents for its hosts."""
    async with AsyncExitStack() as stack:
        tasks = []
        for host in "ab":
            agent = await stack.enter_async_context(ScriptedAgent(admin, f"{name}-{host}"))
            tasks.append(asyncio.create_task(agent.serve()))
        yield Account(admin, kubeconfigs[0], name, tmp_path)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


@asynccontextmanager
async def operating(credentials: Credentials, images: StubImageServer) -> AsyncIterator[None]:
    """Run an operator that leads."""
    async with running_operator(credentials, images_url=images.url, host_silence_s=600) as process:
        await leads(process)
        yield


@pytest.mark.parametrize("seed", range(4))
async def test_all_at_once_in_a_random_order(
    account: Account, operator_credentials: Credentials, images: StubImageServer, seed: int
) -> None:
    async with operating(operator_credentials, images), Client(operator_credentials) as operator:
        await account.apply()
        if seed % 2:  # else guests are deleted while they are on their way to a host
            await account.runs()
        await account.delete("--wait=false", seed=seed)
        await account.is_gone(operator)


async def test_kubectl_itself_sees_the_end(
    account: Account, operator_credentials: Credentials, images: StubImageServer
) -> None:
    async with operating(operator_credentials, images), Client(operator_credentials) as operator:
        await account.apply()
        await account.runs()
        await account.delete("--timeout=100s", seed=7)
        await account.is_gone(operator)


@pytest.mark.parametrize("seed", range(10, 12))
async def test_deletions_that_nobody_saw_are_made_up_for(
    account: Account, operator_credentials: Credentials, images: StubImageServer, seed: int
) -> None:
    """The operator is down while all is deleted; kinds without a finalizer are gone when it comes back."""
    async with operating(operator_credentials, images):
        await account.apply()
        await account.runs()
    await account.delete("--wait=false", seed=seed)
    async with operating(operator_credentials, images), Client(operator_credentials) as operator:
        await account.is_gone(operator)
