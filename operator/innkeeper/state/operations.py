"""The GuestOperations that are known, by the guest that they name.

Also which of them are being given up at the moment, so that nobody orders what is about to be called failed.
"""

from collections import defaultdict

from innkeeper.kube.informer import Key
from innkeeper.views.guestoperation import GuestOperation


class Operations:
    """Every GuestOperation by key, and by its guest's key."""

    def __init__(self) -> None:
        self.by_key: dict[Key, GuestOperation] = {}
        self.given_up: set[Key] = set()
        self._of_guest: defaultdict[Key, set[Key]] = defaultdict(set)

    def put(self, key: Key, new: GuestOperation | None) -> Key | None:
        """Keep an operation, or its absence; return the key of its guest, where one was ever named."""
        old = self.by_key.pop(key, None)
        known = new or old
        if known is None:
            return None
        guest = (key[0], known.spec.guest_name)
        if new is not None:
            self.by_key[key] = new
            self._of_guest[guest].add(key)
        else:
            self.given_up.discard(key)
            self._of_guest[guest].discard(key)
            if not self._of_guest[guest]:
                del self._of_guest[guest]
        return guest

    def keys_of(self, guest: Key) -> list[Key]:
        """Return the operations that name a guest."""
        return list(self._of_guest.get(guest, ()))

    def of(self, guest: Key) -> list[GuestOperation]:
        """Return the operations that name a guest and are not given up."""
        return [self.by_key[key] for key in self.keys_of(guest) if key not in self.given_up]
