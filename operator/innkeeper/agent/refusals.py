"""What this host keeps of an order that it refused: whose it is, its rank and what it asked for. Pure.

The guest never ran here, so nothing of what is the guest's own stays: no user data, no labels, no annotations. What is
left is unsigned, and nobody takes it for an order. It stays for ever, as tombstones do: the rank is what wins over the
same order when a restored API server brings it back.
"""

import msgspec

from innkeeper.domain.orders import Envelope, Order

NOBODY = ""  # no key has this ID


def remnant(order: Order) -> Order:
    """Return what is kept of a refused order."""
    return msgspec.structs.replace(
        order,
        spec=msgspec.structs.replace(order.spec, user_data=None),
        user_data_secret=None,
        user_data_digest=None,
        labels={},
        annotations={},
    )


def text_of(order: Order) -> str:
    """Return what is kept of a refused order as the store holds it."""
    payload = msgspec.json.encode(remnant(order), order="deterministic").decode()
    return msgspec.json.encode(Envelope(key=NOBODY, payload=payload, signature="")).decode()
