"""Signed orders as an operator would make them, for tests of the agent."""

import hashlib
from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.orders import Order, OrderAddress, OrderImage, OrderResources, Signer
from innkeeper.views.guest import GuestSpec, ImageRef, Interface
from innkeeper.views.meta import Resources

HOST = "inn-a"
STORE = "11111111-1111-4111-8111-111111111111"
GIB = 1024**3
SIGNER = Signer(b"\x01" * 32)
KEYS = {SIGNER.key_id: SIGNER.public_key}


def guest_id(number: int = 1) -> str:
    """Return a Guest ID as the API server makes them."""
    return f"00000000-0000-4000-8000-{number:012d}"


def address(last: int = 11, *, guest: str | None = None) -> OrderAddress:
    """Return an address of a guest."""
    return OrderAddress(
        interface="eth0",
        address=f"10.0.0.{last}",
        prefix_length=24,
        mac=names.mac_of(guest or guest_id(), "eth0"),
        gateway="10.0.0.1",
        dns=["10.0.0.1"],
    )


def order(number: int = 1, **changes: Any) -> Order:
    """Return an order to run one guest; `changes` replace fields, and `spec` fields of the Guest's spec."""
    spec = GuestSpec(
        image=ImageRef(name="debian"),
        resources=Resources(cpu="1", memory="1Gi", disk="4Gi"),
        interfaces=[Interface(pool="pool")],
    )
    digest = f"sha256:{hashlib.sha256(b'image').hexdigest()}"
    first = Order(
        host=HOST,
        store_id=STORE,
        guest_id=guest_id(number),
        namespace="guests",
        name=f"web-{number}",
        generation=1,
        spec=msgspec.structs.replace(spec, **changes.pop("spec", {})),
        resources=OrderResources(cpu_millis=1000, memory_bytes=GIB, disk_bytes=4 * GIB),
        addresses=[address(10 + number, guest=guest_id(number))],
        image=OrderImage(
            namespace="guests",
            name="debian",
            url="http://images/v1/images/guests/debian",
            digest=digest,
            format="qcow2",
            size=1000,
            virtual_size=2 * GIB,
        ),
        desired="Running",
        epoch=1,
        serial=1,
    )
    return msgspec.structs.replace(first, **changes)
