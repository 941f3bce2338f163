"""Reads signed orders that are ours: signed with the order key, or with the one before it. What others wrote is nothing.

A signature costs more to check than all else that is done with an order, so the last ones are kept by Guest ID.
"""

from collections import OrderedDict

from innkeeper.domain.orders import Order, OrderInvalidError, Signer, verify

MAX_KEPT = 10_000


class OrderReader:
    """Knows the public keys that count, once it was told."""

    def __init__(self, signer: Signer | None = None, previous: Signer | None = None) -> None:
        self._previous: dict[str, bytes] = {}
        self._keys: dict[str, bytes] = {}
        self._kept: OrderedDict[str, tuple[str, Order]] = OrderedDict()  # by Guest ID
        if signer is not None:
            self.trust(signer, previous)

    @property
    def is_ready(self) -> bool:
        """Whether any key is known: before that, no order is anybody's."""
        return bool(self._keys)

    def trust(self, signer: Signer, previous: Signer | None) -> None:
        """Have the orders of these keys count, and no others."""
        self._previous = {previous.key_id: previous.public_key} if previous else {}
        self._keys = {**self._previous, signer.key_id: signer.public_key}
        self._kept.clear()

    def read(self, text: str, *, guest_id: str) -> Order | None:
        """Return the order in `text` if it is ours and that guest's."""
        known = self._kept.get(guest_id)
        if known is not None and known[0] == text:
            return known[1]
        try:
            order = verify(text, self._keys)
        except OrderInvalidError:
            return None
        if order.guest_id != guest_id:
            return None
        self.remember(order, text)
        return order

    def remember(self, order: Order, text: str) -> None:
        """Keep an order that is known to be ours."""
        self._kept[order.guest_id] = (text, order)
        self._kept.move_to_end(order.guest_id)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def is_of_previous_key(self, text: str) -> bool:
        """Tell whether the key before the present one signed it."""
        try:
            verify(text, self._previous)
        except OrderInvalidError:
            return False
        return True
