"""A host asks for its certificate, the operator signs it, and then reads the host's store by it: each part for real."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kit import host_api

from innkeeper.domain import names
from innkeeper.domain.host_store import Snapshot
from innkeeper.hosts.client import AgentReader, Agents, ClientFiles
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import HOST_AGENTS
from innkeeper.views.host import HostAgent
from tests.integration.operator import scene
from tests.kit import joining
from tests.kit.joining import Machine
from tests.kit.operator_process import StubImageServer, leads, running_operator
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane


async def test_a_host_that_joined_gets_a_certificate_and_is_read_by_it(
    admin: Client,
    operator_credentials: Credentials,
    kubeconfigs: tuple[Path, Path],
    images: StubImageServer,
    name: str,
    tmp_path: Path,
) -> None:
    authority = host_api.authority(tmp_path)
    pair = host_api.operator_pair(authority)
    files = {
        "hosts_ca_file": authority.own.certificate,
        "hosts_ca_key_file": authority.own.key,
        "hosts_certificate_file": pair.certificate,
        "hosts_key_file": pair.key,
    }
    async with running_operator(operator_credentials, images_url=images.url, **files) as operator:
        await leads(operator)
        await scene.infrastructure(admin, name)
        machine = Machine(tmp_path / "machine")
        words = ("join-token", name, "--hosts-ca-file", str(authority.own.certificate))
        line = await joining.run("kubectl-guest", *words, kubeconfig=kubeconfigs[0])
        assert (await machine.join(line.out)).code == 0
        async with _agent(machine):
            found = await eventually(lambda: _served(admin, name), deadline_s=100)
            own = ClientFiles(authority=authority.own.certificate, certificate=pair.certificate, key=pair.key)
            async with Agents(own) as agents:
                reader = agents.reader(name, str(found.status.address))
                snapshot = await eventually(lambda: _snapshot(reader), deadline_s=60)
            assert (snapshot.host, snapshot.store_id) == (name, found.status.store_id)
            assert found.spec.certificate is not None
            assert _key_file(machine).stat().st_mode & 0o777 == 0o600


@contextlib.asynccontextmanager
async def _agent(machine: Machine) -> AsyncIterator[None]:
    words = ["agent", "--join-file", machine.join_file, "--state-dir", machine.state, "--driver", "simulated"]
    words += ["--metrics-port", "0", "--api-port", "0"]
    words += ["--api-ca-file", machine.join_file.parent / "hosts-ca.crt"]
    program = Path(sys.executable).parent / "innkeeper"
    process = await asyncio.create_subprocess_exec(program, *map(str, words), stdout=DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        async with asyncio.timeout(60):
            await process.wait()


def _key_file(machine: Machine) -> Path:
    return machine.state / "identity" / "host-api.key"


async def _served(admin: Client, host: str) -> HostAgent | None:
    found = await admin.get(HOST_AGENTS, "host", namespace=names.host_namespace(host))
    done = found.status.address is not None and found.status.certificate_request is None
    return found if done and found.spec.certificate is not None else None


async def _snapshot(reader: AgentReader) -> Snapshot | None:
    with contextlib.suppress(HostUnreadError):
        return await reader.snapshot()
    return None
