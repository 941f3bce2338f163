"""The real operator asks a host what it holds, finds a guest that nothing in the API server tells of, and revives it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from innkeeper.domain import names
from innkeeper.domain.orders import Signer
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import ASSIGNMENTS, CLUSTERS, GUESTS, HOSTS, IP_ADDRESSES, NAMESPACES
from innkeeper.processes.operator import OperatorProcess
from tests.kit.agent_orders import address, guest_id, order
from tests.kit.operator_process import StubImageServer, leads, running_operator
from tests.kit.own_plane import own_plane
from tests.kit.told_agent import agent, hosts_pki, served
from tests.kit.told_host import ToldHost
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

HOST = "told"
KEY = b"\x07" * 32
CRASHED_AT, AGAIN_AT = "2026-01-01T00:00:01.000001Z", "2026-01-01T00:00:01.000002Z"
LATER_AT = "2026-01-02T00:00:00.000000Z"
WHILE_AWAY = [(CRASHED_AT, "Crashed"), (AGAIN_AT, "Running")]


@pytest.fixture(scope="module")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A control plane of its own: what this leaves obeys an order key that operators of other tests do not have."""
    with own_plane("holdings", tmp_path_factory.mktemp("holdings")) as plane:
        yield plane.admin, plane.operator


def settings(directory: Path, images: StubImageServer, at: str) -> dict[str, Any]:
    """Return what an operator needs that reads hosts of a file, and keeps what it read."""
    files = hosts_pki(directory / "pki", HOST).files
    (directory / "hosts.yaml").write_text(f'hosts: [{{name: {HOST}, address: "{at}"}}]')
    (directory / "order.key").write_bytes(KEY)
    return {
        "images_url": images.url,
        "leader_election": False,
        "order_key_file": directory / "order.key",
        "hosts_ca_file": files.authority,
        "hosts_certificate_file": files.certificate,
        "hosts_key_file": files.key,
        "hosts_file": directory / "hosts.yaml",
        "snapshot_file": directory / "snapshot",
        "rebuild": "Never",  # the guest is to be found by the operator that leads
    }


def pulls(operator: OperatorProcess) -> dict[str, float]:
    """Return how often hosts were read, by outcome."""
    samples = [each for metric in operator.registry.collect() for each in metric.samples]
    return {
        each.labels["outcome"]: each.value
        for each in samples
        if each.name == "innkeeper_host_record_pulls_total"
    }


async def test_a_guest_that_only_its_host_knows_comes_back(
    admin: Client, operator_credentials: Credentials, images: StubImageServer, tmp_path: Path
) -> None:
    await admin.create(CLUSTERS, {"metadata": {"name": "told"}, "spec": {"network": {"bridge": "br0"}}})
    await admin.create(HOSTS, {"metadata": {"name": HOST}, "spec": {"cluster": "told"}})
    host = ToldHost(HOST)
    at = msgspec.structs.replace(address(11), space="told", pool="told")
    held = order(1, host=HOST, namespace="default", name="told", addresses=[at])
    host.put(held.guest_id, Signer(KEY).sign(held))
    async with served(hosts_pki(tmp_path / "pki", HOST), agent(host)) as place:
        chosen = settings(tmp_path, images, place)
        async with running_operator(operator_credentials, **chosen, orphan_policy="Adopt") as operator:
            await leads(operator)
            await eventually(lambda: pulls(operator).get("snapshot"), deadline_s=30)
            await eventually(lambda: has_namespace(admin), deadline_s=60)
            async with Client(operator_credentials) as client:
                await stir(client)
            await adopted(admin, operator)
            await eventually(lambda: history_is_followed(admin), deadline_s=60)
        host.asked.clear()
        # Nobody leads meanwhile.
        host.happen(held.guest_id, (CRASHED_AT, "Crashed", "it was killed"), (AGAIN_AT, "Running"))
        async with running_operator(operator_credentials, **chosen) as operator:
            await leads(operator)
            await eventually(lambda: pulls(operator).get("events"), deadline_s=30)
            assert "snapshot" not in host.asked, "it goes on from the file"
            await eventually(lambda: told(admin), deadline_s=60)
        async with running_operator(operator_credentials, **chosen) as operator:
            await leads(operator)
            await eventually(lambda: pulls(operator).get("events"), deadline_s=30)
            host.happen(held.guest_id, (LATER_AT, "StoppedAtHost", "by root"))
            operator.holdings.orphans.ask(HOST)
            await eventually(lambda: told(admin, [*WHILE_AWAY, (LATER_AT, "StoppedAtHost")]), deadline_s=60)


async def history_is_followed(admin: Client) -> bool:
    """Tell whether it is known how far the host's history was told."""
    return (await admin.get(HOSTS, HOST)).status.told is not None


async def told(admin: Client, wanted: list[tuple[str, str]] | None = None) -> bool:
    """Tell whether these are the Events that the host has told of its guest, each once and with its time."""
    answer = msgspec.json.decode(await admin._call("GET", "/api/v1/namespaces/default/events"))
    mine = [each for each in answer["items"] if each["source"].get("host") == HOST]
    found = sorted((each["eventTime"], each["reason"]) for each in mine)
    assert found == (wanted or WHILE_AWAY), found
    return True


async def has_namespace(admin: Client) -> bool:
    """Tell whether the host has its namespace."""
    try:
        await admin.get(NAMESPACES, names.host_namespace(HOST))
    except NotFoundError:
        return False
    return True


async def stir(client: Client) -> None:
    """Have something to watch: a quiet watch gives its first sign of life, and so a fresh view, within a minute only."""
    guest = {"metadata": {"name": "other"}, "spec": {"image": {"name": "none"}, "flavor": "none"}}
    guest["spec"] |= {"interfaces": [{"pool": "none"}]}
    await client.create(GUESTS, guest, namespace="default")
    spec = {"order": "{}", "guestId": "other", "guest": {"namespace": "default", "name": "none"}}
    spec |= {"desired": "Running", "epoch": 1, "serial": 1}
    await client.create(
        ASSIGNMENTS, {"metadata": {"name": "other"}, "spec": spec}, namespace=names.host_namespace(HOST)
    )


async def adopted(admin: Client, operator: OperatorProcess) -> None:
    """Wait until the guest has its objects again: bound to where it runs, with its address and the order it had."""

    async def is_back() -> bool:
        await operator.holdings.orphans.look()
        guest = operator.subset.guests.get(("default", "told"))
        return guest is not None and guest.status.host == HOST

    await eventually(is_back, deadline_s=60)
    guest = await admin.get(GUESTS, "told", namespace="default")
    assert guest.metadata.annotations[names.ID_ANNOTATION] == guest_id()
    assert [each.address for each in guest.status.addresses] == ["10.0.0.11"]
    claim = await admin.get(IP_ADDRESSES, names.address_name("told", "10.0.0.11"))
    assert claim.spec.owner is not None
    assert claim.spec.owner.id == guest_id()
    assignment = await admin.get(ASSIGNMENTS, guest_id(), namespace=names.host_namespace(HOST))
    assert assignment.spec.desired == "Running"
