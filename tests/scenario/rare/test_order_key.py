"""The key that signs orders: made once, kept, and never replaced by accident."""

import asyncio
import base64
from pathlib import Path

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.resources import SECRETS
from innkeeper.processes.order_key import SECRET_NAME, OrderKeyError, load_signer, order_keys
from tests.kit.fake_api import FakeApi

NAMESPACE = "innkeeper-system"


async def test_two_operators_that_start_at_once_sign_with_one_key() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        gate = api.faults.hold("create secrets", times=2)
        both = asyncio.gather(*(load_signer(client, namespace=NAMESPACE, file=None) for _ in range(2)))
        assert gate.gate is not None
        gate.gate.set()
        first, second = await both
        assert first.key_id == second.key_id
        assert len(api.objects(SECRETS, namespace=NAMESPACE)) == 1


async def test_the_key_outlives_the_process() -> None:
    async with FakeApi() as api, Client(api.credentials()) as client:
        first = await load_signer(client, namespace=NAMESPACE, file=None)
        second = await load_signer(client, namespace=NAMESPACE, file=None)
        assert first.public_key == second.public_key
        (key,) = order_keys(first)
        assert (key.id, base64.b64decode(key.public_key)) == (first.key_id, first.public_key)


async def test_a_damaged_secret_is_refused_and_not_replaced() -> None:
    """A new key would make every host refuse every order."""
    async with FakeApi() as api, Client(api.credentials()) as client:
        body = {"metadata": {"name": SECRET_NAME}, "data": {"privateKey": "AAAA"}}
        api.create(SECRETS, body, namespace=NAMESPACE)
        with pytest.raises(OrderKeyError, match="innkeeper-order-key"):
            await load_signer(client, namespace=NAMESPACE, file=None)


@pytest.mark.parametrize("form", ["raw", "base64"])
async def test_a_key_from_a_file_needs_no_secret(form: str, tmp_path: Path) -> None:
    key = bytes(range(32))
    file = tmp_path / "key"
    file.write_bytes(key if form == "raw" else base64.b64encode(key) + b"\n")
    async with FakeApi() as api, Client(api.credentials()) as client:
        signer = await load_signer(client, namespace=NAMESPACE, file=file)
        assert not api.calls
    assert len(signer.public_key) == 32


async def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    async with FakeApi() as api, Client(api.credentials()) as client:
        with pytest.raises(OrderKeyError, match="cannot be read"):
            await load_signer(client, namespace=NAMESPACE, file=file)
        file.write_text("a word")
        with pytest.raises(OrderKeyError, match="32 bytes"):
            await load_signer(client, namespace=NAMESPACE, file=file)
