"""The key that signs orders: made once, kept, changed in step with the hosts, and never replaced by accident."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from innkeeper.agent import trust
from innkeeper.domain.orders import Signer
from innkeeper.kube.client import Client
from innkeeper.kube.resources import ASSIGNMENTS, CONFIG_MAPS, HOSTS, LEASES, NAMESPACES, SECRETS
from innkeeper.processes.order_key import (
    SECRET_NAME,
    KeySource,
    OrderKeyError,
    OrderKeyLostError,
    load_order_keys,
    who_obeys,
)
from innkeeper.state.subset import Subset
from innkeeper.views.host import Host
from tests.kit.fake_api import FakeApi
from tests.kit.operator_process import an_operator

OWN = (LEASES.plural, CONFIG_MAPS.plural)  # the lock, and the marks in the store

NAMESPACE = "innkeeper-system"
SECRET = KeySource(namespace=NAMESPACE)
OLD, NEW = Signer(b"\x01" * 32), Signer(b"\x02" * 32)


def text(byte: bytes) -> str:
    return base64.b64encode(byte * 32).decode()


def put_secret(api: FakeApi, **data: str) -> None:
    """Write the Secret as an admin does."""
    api.create(SECRETS, {"metadata": {"name": SECRET_NAME}, "data": data}, namespace=NAMESPACE)


async def test_two_operators_that_start_at_once_sign_with_one_key() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        gate = api.faults.hold("create secrets", times=2)
        both = asyncio.gather(*(load_order_keys(client, SECRET) for _ in range(2)))
        assert gate.gate is not None
        gate.gate.set()
        first, second = await both
        assert first.signer.key_id == second.signer.key_id
        assert len(api.objects(SECRETS, namespace=NAMESPACE)) == 1


async def test_the_key_outlives_the_process() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        first = await load_order_keys(client, SECRET)
        second = await load_order_keys(client, SECRET, obeyed="all hosts")
        assert first.signer.public_key == second.signer.public_key
        (key,) = first.published()
        assert (key.id, base64.b64decode(key.public_key)) == (first.signer.key_id, first.signer.public_key)
        assert (key.signed_by, key.signature) == (None, None)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"privateKey": "AAAA"},
        {"privateKey": text(b"\x02"), "previousPrivateKey": "AAAA"},
        {"previousPrivateKey": text(b"\x01")},
    ],
)
async def test_a_damaged_secret_is_refused_and_not_replaced(data: dict[str, str]) -> None:
    """A new key would make every host refuse every order."""
    async with FakeApi() as api, Client(api.credentials()) as client:
        put_secret(api, **data)
        with pytest.raises(OrderKeyError, match="innkeeper-order-key"):
            await load_order_keys(client, SECRET)


async def test_hosts_that_trust_the_previous_key_come_to_trust_the_current_one() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        put_secret(api, privateKey=text(b"\x02"), previousPrivateKey=text(b"\x01"))
        keys = await load_order_keys(client, SECRET)
    assert keys.signer.key_id == NEW.key_id
    older, newer = keys.published()
    assert (older.id, older.signed_by) == (OLD.key_id, None)
    assert (newer.id, newer.signed_by) == (NEW.key_id, OLD.key_id)
    assert set(trust.extend({OLD.key_id: OLD.public_key}, keys.published())) == {OLD.key_id, NEW.key_id}
    stranger = Signer(b"\x09" * 32)
    assert set(trust.extend({stranger.key_id: stranger.public_key}, keys.published())) == {stranger.key_id}


async def test_a_previous_key_that_is_the_current_one_is_published_once() -> None:
    """Two entries of one ID would be refused by the API server."""
    async with FakeApi() as api, Client(api.credentials()) as client:
        put_secret(api, privateKey=text(b"\x02"), previousPrivateKey=text(b"\x02"))
        assert [each.id for each in (await load_order_keys(client, SECRET)).published()] == [NEW.key_id]


@pytest.mark.parametrize("form", ["raw", "base64"])
async def test_keys_from_files_need_no_secret(form: str, tmp_path: Path) -> None:
    current, previous = tmp_path / "current", tmp_path / "previous"
    for file, byte in ((current, b"\x02"), (previous, b"\x01")):
        file.write_bytes(byte * 32 if form == "raw" else text(byte).encode() + b"\n")
    async with FakeApi() as api, Client(api.credentials()) as client:
        source = KeySource(namespace=NAMESPACE, file=current, previous_file=previous)
        keys = await load_order_keys(client, source, obeyed="all hosts")
        assert not api.calls
    assert [each.id for each in keys.published()] == [OLD.key_id, NEW.key_id]


async def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    source = KeySource(namespace=NAMESPACE, file=file)
    async with FakeApi() as api, Client(api.credentials()) as client:
        with pytest.raises(OrderKeyError, match="cannot be read"):
            await load_order_keys(client, source)
        file.write_text("a word")
        with pytest.raises(OrderKeyError, match="32 bytes"):
            await load_order_keys(client, source)


HOST = {"metadata": {"name": "a"}, "spec": {"cluster": "c"}, "status": {"storeId": "s"}}
ASSIGNMENT = {
    "metadata": {"name": "0a1b"},
    "spec": {
        "order": "{}",
        "guest": {"namespace": "guests", "name": "web"},
        "guestId": "0a1b",
        "desired": "Running",
        "epoch": 1,
        "serial": 1,
    },
}


@pytest.mark.parametrize("there", ["an order", "a host that joined"])
async def test_an_operator_whose_key_is_gone_does_not_start_while_hosts_obey_it(there: str) -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        if there == "an order":
            api.create(NAMESPACES, {"metadata": {"name": "host-a"}})
            api.create(ASSIGNMENTS, ASSIGNMENT, namespace="host-a")
        else:
            api.create(HOSTS, HOST)
            api.patch(HOSTS, "a", {"status": HOST["status"]}, subresource="status")
        operator = an_operator(client, leader_election=False)
        with pytest.raises(BaseExceptionGroup) as raised:
            await asyncio.wait_for(operator.run(), timeout=20)
        found = raised.group_contains(OrderKeyLostError, match="Restore the Secret from a backup")
        assert found, raised.value
        assert api.objects(SECRETS, namespace=NAMESPACE) == []
        assert [call for call in api.writes() if call.resource not in OWN] == []


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ({}, "Assignments: 0, hosts that joined: 1"),
        ({"status": {}}, None),
        ({"spec": {"cluster": "c", "lost": "burnt"}}, None),
    ],
)
def test_a_host_obeys_a_key_from_its_first_report_until_it_is_lost(
    host: dict[str, Any], says: str | None
) -> None:
    subset = Subset()
    assert who_obeys(subset) is None
    subset.hosts["a"] = msgspec.convert({**HOST, **host}, Host)
    assert who_obeys(subset) == says
