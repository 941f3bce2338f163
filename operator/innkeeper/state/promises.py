"""What each host has promised: one entry a guest, kept in the fleet that decisions read.

A promise is made before the write that makes it true (`assume`), so that two decisions never count on the same room; it
goes with the guest, or when the write failed. What is only assumed is left alone by recounts.
"""

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.fleet import Fleet


class Promises:
    """Guests by Guest ID, with the host that holds a promise for each."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._assumed: set[str] = set()

    def of_host(self, host: str) -> Amounts:
        """Return what a host has promised in all."""
        return self._fleet.promised(host)

    def count(self, host: str) -> int:
        """Return to how many guests it has."""
        return self._fleet.count(host)

    def host_of(self, guest_id: str) -> str | None:
        """Return the host that holds a promise for a guest."""
        found = self._fleet.resident(guest_id)
        return found.host if found else None

    def assume(self, guest_id: str, resident: Resident) -> None:
        """Note a promise that is about to be written; whoever does so settles it afterwards."""
        self._assumed.add(guest_id)
        self._fleet.reserve(guest_id, resident)

    def is_assumed(self, guest_id: str) -> bool:
        """Tell whether a promise is about to be written."""
        return guest_id in self._assumed

    def keep(self, guest_id: str, resident: Resident) -> None:
        """Note a promise that is written; a former one of that guest ends."""
        self._assumed.discard(guest_id)
        self._fleet.reserve(guest_id, resident)

    def release(self, guest_id: str) -> str | None:
        """End a promise; return the host that has more room now, if any."""
        self._assumed.discard(guest_id)
        return self._fleet.release(guest_id)
