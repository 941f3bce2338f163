"""The facts that bind a guest: the part of its status that says where it runs, with which addresses, image and size."""

from collections.abc import Iterable
from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.quantity import Amounts
from innkeeper.views.guest import GuestAddress


def binding(
    guest_id: str,
    *,
    host: str,
    cluster: str,
    epoch: int,
    addresses: Iterable[GuestAddress],
    image: OrderImage,
    amounts: Amounts,
) -> dict[str, Any]:
    """Return the facts as they go into a Guest's status."""
    return {
        "id": guest_id,
        "urn": names.urn(guest_id),
        "cluster": cluster,
        "host": host,
        "epoch": epoch,
        "addresses": [msgspec.to_builtins(each) for each in addresses],
        "image": {"namespace": image.namespace, "name": image.name, "digest": image.digest},
        "resources": msgspec.to_builtins(amounts.quantities()),
    }
