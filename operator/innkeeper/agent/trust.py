"""Which keys may sign orders for this host: those pinned when it joined, and those that a trusted key endorsed.

A key that the API server offers without a trusted key's signature is never used. Endorsed keys are kept in the store,
so a restart while the API server is away forgets none.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping

from innkeeper.domain import orders
from innkeeper.views.host import OrderKey

_KEY_BYTES = 32
MAX_KEYS = 32


def extend(trusted: Mapping[str, bytes], offered: Iterable[OrderKey]) -> dict[str, bytes]:
    """Return the trusted keys with every offered key that one of them endorsed, directly or over others."""
    keys = dict(trusted)
    waiting = [key for key in offered if key.id not in keys]
    while len(keys) < MAX_KEYS:
        found = next((key for key in waiting if _endorsed(key, keys)), None)
        if found is None:
            break
        waiting.remove(found)
        keys[found.id] = base64.b64decode(found.public_key)
    return keys


def decode_keys(encoded: Mapping[str, str]) -> dict[str, bytes]:
    """Return raw keys by ID from their base64 form.

    Raises:
        ValueError: one is no key, or its ID is not its own.
    """
    keys = {}
    for name, text in encoded.items():
        raw = _raw(text)
        if raw is None or orders.key_id(raw) != name:
            raise ValueError(
                f"the order key {name!r} is not the base64 of the 32 bytes that its ID is made from"
            )
        keys[name] = raw
    return keys


def encode_keys(keys: Mapping[str, bytes]) -> dict[str, str]:
    """Return the base64 form of raw keys."""
    return {name: base64.b64encode(raw).decode() for name, raw in keys.items()}


def _endorsed(key: OrderKey, keys: Mapping[str, bytes]) -> bool:
    raw = _raw(key.public_key)
    by = keys.get(key.signed_by or "")
    if raw is None or by is None or orders.key_id(raw) != key.id:
        return False
    return orders.endorsed(raw, by=by, signature=key.signature or "")


def _raw(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) == _KEY_BYTES else None
