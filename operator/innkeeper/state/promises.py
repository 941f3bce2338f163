"""What each host has promised: one entry a guest, and the sum.

A promise is made before the write that makes it true (`reserve`), so that two decisions never count on the same room;
it goes with the guest, or when the write failed.
"""

from collections import defaultdict

from innkeeper.domain.quantity import Amounts


class Promises:
    """Amounts by host and Guest ID."""

    def __init__(self) -> None:
        self._by_guest: dict[str, tuple[str, Amounts]] = {}
        self._sums: defaultdict[str, Amounts] = defaultdict(Amounts)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def of_host(self, host: str) -> Amounts:
        """Return what a host has promised in all."""
        return self._sums.get(host, Amounts())

    def count(self, host: str) -> int:
        """Return to how many guests it has."""
        return self._counts.get(host, 0)

    def host_of(self, guest_id: str) -> str | None:
        """Return the host that holds a promise for a guest."""
        found = self._by_guest.get(guest_id)
        return found[0] if found else None

    def reserve(self, guest_id: str, *, host: str, amounts: Amounts) -> None:
        """Note a promise; a former one of that guest ends."""
        if self._by_guest.get(guest_id) == (host, amounts):
            return
        self.release(guest_id)
        self._by_guest[guest_id] = (host, amounts)
        self._sums[host] = self._sums[host] + amounts
        self._counts[host] += 1

    def release(self, guest_id: str) -> str | None:
        """End a promise; return the host that has more room now, if any."""
        found = self._by_guest.pop(guest_id, None)
        if found is None:
            return None
        host, amounts = found
        self._sums[host] = self._sums[host] - amounts
        self._counts[host] -= 1
        return host
