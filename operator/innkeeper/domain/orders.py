"""Signed orders: the only thing that a host obeys.

An order is one opaque string: a JSON object with the key's ID, the payload as text, and an Ed25519 signature
(RFC 8032) over exactly that text behind a fixed prefix. The signature is checked before the payload is parsed, so
neither the API server's defaulting nor a different JSON encoder can matter. Orders of one Guest ID compare by
(epoch, serial).
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import TerminalError
from innkeeper.views.guest import GuestSpec

ORDER_PREFIX = b"innkeeper.dev/order/v1\n"
KEY_PREFIX = b"innkeeper.dev/order-key/v1\n"
MAX_ORDER_BYTES = 512 * 1024


class OrderInvalidError(TerminalError):
    """The order is forged, damaged, or not meant for this host."""

    reason = GuestReason.ORDER_INVALID


class Rank(NamedTuple):
    """What orders of one Guest ID compare by."""

    epoch: int
    serial: int


class OrderStruct(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of everything inside an order: immutable; an unknown field is an error, since it may carry meaning."""


class OrderResources(OrderStruct, frozen=True, kw_only=True):
    """What the host promises: milli-CPU, bytes, bytes."""

    cpu_millis: int
    memory_bytes: int
    disk_bytes: int


class OrderAddress(OrderStruct, frozen=True, kw_only=True):
    """One address with all that the guest needs to use it."""

    interface: str
    address: str
    prefix_length: int
    mac: str
    gateway: str | None = None
    dns: list[str] = []
    search_domains: list[str] = []
    mtu: int | None = None  # bytes
    vlan: int | None = None  # None: as the host's network says
    space: str = ""  # with `pool`: whose claim it is, for the day on which only hosts know it
    pool: str = ""


class OrderImage(OrderStruct, frozen=True, kw_only=True):
    """The image: where the host asks for it, and what it must be. Sizes in bytes."""

    namespace: str
    name: str
    url: str
    digest: str
    format: str
    size: int
    virtual_size: int
    manifest_digest: str | None = (
        None  # of the chunk manifest; without one the image is copied before the guest starts
    )


class OrderOperation(OrderStruct, frozen=True, kw_only=True):
    """What is to be done to the guest once. The ID is the GuestOperation's UID: a host never does the same one again."""

    id: str
    kind: str  # OperationKind


class Order(OrderStruct, frozen=True, kw_only=True):
    """All that a host needs to build, keep, stop or destroy one guest."""

    host: str
    store_id: str
    guest_id: str
    namespace: str
    name: str
    generation: int
    spec: GuestSpec
    resources: OrderResources
    addresses: list[OrderAddress]
    image: OrderImage | None  # none only in an order to destroy
    desired: str  # Desired
    epoch: int
    serial: int
    user_data_secret: str | None = None  # its name in the host's namespace
    user_data_digest: str | None = None  # sha256:<hex> of the bytes under `userData`
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    operation: OrderOperation | None = None  # one that is over may stay until the next order

    @property
    def rank(self) -> Rank:
        """What this order compares by."""
        return Rank(self.epoch, self.serial)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The wire form: `key` names the signer, `payload` is the order as text, `signature` is base64."""

    key: str
    payload: str
    signature: str


def key_id(public_key: bytes) -> str:
    """Return the ID of a raw 32-byte public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


class Signer:
    """Signs orders with one private key (32 raw bytes)."""

    def __init__(self, private_key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def sign(self, order: Order) -> str:
        """Return the order as the string that goes into `Assignment.spec.order`."""
        payload = msgspec.json.encode(order, order="deterministic")
        signature = self._key.sign(ORDER_PREFIX + payload)
        envelope = Envelope(
            key=self.key_id, payload=payload.decode(), signature=base64.b64encode(signature).decode()
        )
        return msgspec.json.encode(envelope).decode()

    def endorse(self, public_key: bytes) -> str:
        """Return this key's signature (base64) over a newer public key, which makes hosts trust that one too."""
        return base64.b64encode(self._key.sign(KEY_PREFIX + public_key)).decode()


def verify(text: str, keys: Mapping[str, bytes]) -> Order:
    """Return the order in `text` if one of `keys` (ID to raw public key) signed it.

    Raises:
        OrderInvalidError: the text is no order, the key is unknown, or the signature does not match.
    """
    if len(text) > MAX_ORDER_BYTES:
        raise OrderInvalidError(f"the order is longer than {MAX_ORDER_BYTES} bytes")
    try:
        envelope = msgspec.json.decode(text, type=Envelope)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise OrderInvalidError("the order is not a signed envelope") from error
    if envelope.key not in keys:
        raise OrderInvalidError(
            f"the order is signed with the key {envelope.key[:16]!r}, which this host does not trust"
        )
    payload = envelope.payload.encode()
    if not _signed(keys[envelope.key], envelope.signature, ORDER_PREFIX + payload):
        raise OrderInvalidError("the order's signature does not match its content")
    try:
        return msgspec.json.decode(payload, type=Order)
    except (msgspec.DecodeError, RecursionError) as error:
        raise OrderInvalidError(f"the signed order cannot be read: {error}") from error


def endorsed(public_key: bytes, *, by: bytes, signature: str) -> bool:
    """Tell whether the key `by` endorsed `public_key`."""
    return _signed(by, signature, KEY_PREFIX + public_key)


def peek(text: str) -> Order:
    """Return the order in `text` without checking who signed it: for the operator, which reads its own objects.

    Raises:
        OrderInvalidError: the text is no order.
    """
    try:
        return msgspec.json.decode(msgspec.json.decode(text, type=Envelope).payload, type=Order)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise OrderInvalidError("the order cannot be read") from error


def digest_of(data: bytes) -> str:
    """Return `sha256:<hex>` of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _signed(public_key: bytes, signature: str, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            base64.b64decode(signature, validate=True), message
        )
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True
