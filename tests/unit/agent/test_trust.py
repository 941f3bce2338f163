"""Which order keys a host trusts."""

import base64

import pytest

from innkeeper.agent import trust
from innkeeper.domain.orders import Signer
from innkeeper.views.host import OrderKey

FIRST, SECOND, THIRD, STRANGER = (Signer(bytes([number]) * 32) for number in range(1, 5))
PINNED = {FIRST.key_id: FIRST.public_key}


def offer(key: Signer, by: Signer | None = None) -> OrderKey:
    return OrderKey(
        id=key.key_id,
        public_key=base64.b64encode(key.public_key).decode(),
        signed_by=by.key_id if by else None,
        signature=by.endorse(key.public_key) if by else None,
    )


def test_a_chain_of_endorsements_is_followed_in_any_order() -> None:
    found = trust.extend(PINNED, [offer(THIRD, SECOND), offer(SECOND, FIRST)])
    assert set(found) == {FIRST.key_id, SECOND.key_id, THIRD.key_id}


@pytest.mark.parametrize(
    "offered",
    [
        offer(STRANGER),
        offer(STRANGER, STRANGER),
        OrderKey(id=STRANGER.key_id, public_key="not base64", signed_by=FIRST.key_id, signature=""),
        OrderKey(
            id=STRANGER.key_id,
            public_key=base64.b64encode(STRANGER.public_key).decode(),
            signed_by=FIRST.key_id,
            signature=FIRST.endorse(SECOND.public_key),
        ),
        OrderKey(
            id=SECOND.key_id,
            public_key=base64.b64encode(STRANGER.public_key).decode(),
            signed_by=FIRST.key_id,
            signature=FIRST.endorse(STRANGER.public_key),
        ),
    ],
)
def test_a_key_that_no_trusted_key_signed_is_not_trusted(offered: OrderKey) -> None:
    assert trust.extend(PINNED, [offered]) == PINNED


def test_a_pinned_key_cannot_be_replaced() -> None:
    evil = OrderKey(
        id=FIRST.key_id,
        public_key=base64.b64encode(STRANGER.public_key).decode(),
        signed_by=FIRST.key_id,
        signature=FIRST.endorse(STRANGER.public_key),
    )
    assert trust.extend(PINNED, [evil]) == PINNED


def test_an_id_that_is_not_its_keys_own_is_refused() -> None:
    with pytest.raises(ValueError, match="its ID"):
        trust.decode_keys({"0" * 16: base64.b64encode(FIRST.public_key).decode()})
