"""Which host refused which guest, and until when it is left out for that guest; which claims of it were in use.

Times are seconds of the caller's own clock.
"""

from collections import Counter, defaultdict


class Refusals:
    """Refusals by Guest ID."""

    def __init__(self) -> None:
        self._until: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._in_use: defaultdict[str, Counter[str]] = defaultdict(Counter)  # Guest ID -> host -> addresses
        self._claims: defaultdict[str, set[str]] = defaultdict(set)  # Guest ID -> UIDs of those in use

    def note(self, guest_id: str, host: str, *, until: float) -> None:
        """A host refused a guest."""
        self._until[guest_id][host] = until

    def standing(self, guest_id: str, *, now: float) -> frozenset[str]:
        """Return the hosts that refused a guest and are still left out."""
        found = self._until.get(guest_id)
        return frozenset(host for host, until in found.items() if until > now) if found else frozenset()

    def time_left(self, guest_id: str, hosts: frozenset[str], *, now: float) -> float | None:
        """Return in how many seconds the first of these hosts may be asked for a guest again; None where there are none.

        A refusal that ended meanwhile has no time left: 0.
        """
        known = self._until.get(guest_id, {})
        return max(0.0, min(known.get(host, now) for host in hosts) - now) if hosts else None

    def address_was_in_use(self, guest_id: str, host: str) -> int:
        """A host found a guest's address in use; return how often it did so."""
        self._in_use[guest_id][host] += 1
        return self._in_use[guest_id][host]

    def claim_was_in_use(self, guest_id: str, uid: str) -> None:
        """A machine answered at what a guest had claimed: an Assignment tells of the last such address only."""
        self._claims[guest_id].add(uid)

    def was_in_use(self, guest_id: str, uid: str) -> bool:
        """Tell whether a machine answered at what a guest had claimed; a claim that is made anew has another UID."""
        return uid in self._claims.get(guest_id, ())

    def forget(self, guest_id: str) -> None:
        """The guest is gone, or placed for good."""
        self._until.pop(guest_id, None)
        self._in_use.pop(guest_id, None)
        self._claims.pop(guest_id, None)
