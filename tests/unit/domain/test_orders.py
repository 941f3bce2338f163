"""Nothing but what the key signed is an order: forged, damaged and foreign texts are refused, and break nothing."""

import base64
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.orders import (
    KEY_PREFIX,
    MAX_ORDER_BYTES,
    ORDER_PREFIX,
    Order,
    OrderInvalidError,
    OrderResources,
    Rank,
    Signer,
    digest_of,
    endorsed,
    key_id,
    peek,
    verify,
)
from innkeeper.views.guest import GuestSpec, ImageRef

PRIVATE = b"\x01" * 32
SIGNER = Signer(PRIVATE)
KEYS = {SIGNER.key_id: SIGNER.public_key}
ORDER = Order(
    host="a",
    store_id="store-1",
    guest_id="g",
    namespace="default",
    name="web",
    generation=3,
    spec=GuestSpec(image=ImageRef(name="debian")),
    resources=OrderResources(cpu_millis=1000, memory_bytes=1, disk_bytes=1),
    addresses=[],
    image=None,
    desired="Running",
    epoch=1,
    serial=2,
    labels={"b": "2", "a": "1"},
)


def parts(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def signed(payload: str, *, prefix: bytes = ORDER_PREFIX) -> str:
    signature = Ed25519PrivateKey.from_private_bytes(PRIVATE).sign(prefix + payload.encode())
    return json.dumps(
        {"key": SIGNER.key_id, "payload": payload, "signature": base64.b64encode(signature).decode()}
    )


def test_what_was_signed_comes_back_whole() -> None:
    text = SIGNER.sign(ORDER)
    assert verify(text, KEYS) == ORDER
    assert peek(text) == ORDER
    assert ORDER.rank == Rank(1, 2)


def test_the_same_order_is_the_same_text() -> None:
    other = msgspec.structs.replace(ORDER, labels={"a": "1", "b": "2"})
    assert Signer(PRIVATE).sign(other) == SIGNER.sign(ORDER)


def test_ranks_compare_by_epoch_first() -> None:
    assert Rank(2, 1) > Rank(1, 9) > Rank(1, 8)


def test_a_changed_payload_is_refused() -> None:
    envelope = parts(SIGNER.sign(ORDER))
    for old, new in (
        ('"Running"', '"Destroyed"'),
        ('"host":"a"', '"host":"b"'),
        ('"serial":2', '"serial":9'),
    ):
        changed = {**envelope, "payload": envelope["payload"].replace(old, new)}
        assert changed != envelope
        with pytest.raises(OrderInvalidError, match="signature does not match"):
            verify(json.dumps(changed), KEYS)


def test_another_key_is_refused_even_under_the_name_of_the_trusted_one() -> None:
    stranger = Signer(b"\x02" * 32)
    with pytest.raises(OrderInvalidError, match="does not trust"):
        verify(stranger.sign(ORDER), KEYS)
    forged = {**parts(stranger.sign(ORDER)), "key": SIGNER.key_id}
    with pytest.raises(OrderInvalidError, match="signature does not match"):
        verify(json.dumps(forged), KEYS)


def test_the_signature_of_one_order_serves_no_other() -> None:
    later = msgspec.structs.replace(ORDER, serial=3)
    mixed = {**parts(SIGNER.sign(later)), "signature": parts(SIGNER.sign(ORDER))["signature"]}
    with pytest.raises(OrderInvalidError, match="signature does not match"):
        verify(json.dumps(mixed), KEYS)


def test_a_signature_for_another_purpose_is_no_order() -> None:
    payload = parts(SIGNER.sign(ORDER))["payload"]
    with pytest.raises(OrderInvalidError, match="signature does not match"):
        verify(signed(payload, prefix=KEY_PREFIX), KEYS)
    assert verify(signed(payload), KEYS) == ORDER


@pytest.mark.parametrize(
    "damage",
    [
        {"signature": ""},
        {"signature": "not base64!"},
        {"signature": "AAAA"},
        {"signature": "é"},
        {"payload": ""},
        {"payload": "\ud800"},
        {"key": ""},
        {"key": "x" * 1000},
        {"key": None},
        {"payload": {}},
        {"extra": "field"},
    ],
)
def test_a_damaged_envelope_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(OrderInvalidError) as caught:
        verify(json.dumps({**parts(SIGNER.sign(ORDER)), **damage}), KEYS)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "{", '"order"', "\ud800", "[" * 100_000])
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(OrderInvalidError):
        verify(text, KEYS)
    with pytest.raises(OrderInvalidError):
        peek(text)


@pytest.mark.parametrize("payload", ["{}", "null", '{"host": 1}', '{"spec": {"x": ' + "[" * 100_000])
def test_a_payload_that_cannot_be_read_is_refused_even_when_it_is_signed(payload: str) -> None:
    with pytest.raises(OrderInvalidError, match="cannot be read"):
        verify(signed(payload), KEYS)
    with pytest.raises(OrderInvalidError, match="cannot be read"):
        peek(signed(payload))


def test_a_field_that_this_version_does_not_know_is_refused() -> None:
    payload = json.loads(parts(SIGNER.sign(ORDER))["payload"])
    with pytest.raises(OrderInvalidError, match="evacuate"):
        verify(signed(json.dumps({**payload, "evacuate": True})), KEYS)


def test_an_order_that_is_too_long_is_not_even_read() -> None:
    large = msgspec.structs.replace(ORDER, labels={"a": "x" * MAX_ORDER_BYTES})
    with pytest.raises(OrderInvalidError, match="longer than"):
        verify(SIGNER.sign(large), KEYS)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(OrderInvalidError):
        verify(text, KEYS)


def test_a_key_vouches_for_the_next_one() -> None:
    new = Signer(b"\x02" * 32).public_key
    signature = SIGNER.endorse(new)
    assert endorsed(new, by=SIGNER.public_key, signature=signature)
    assert not endorsed(SIGNER.public_key, by=SIGNER.public_key, signature=signature)
    assert not endorsed(new, by=new, signature=signature)
    assert not endorsed(new, by=SIGNER.public_key, signature="")
    assert not endorsed(new, by=b"short", signature=signature)


def test_ids_and_digests() -> None:
    assert len(key_id(SIGNER.public_key)) == 16
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
