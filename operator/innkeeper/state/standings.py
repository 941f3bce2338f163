"""How all Guests stand: how many by the reason of Ready, and which are not Ready, since when.

Running sums, fed by the changes of Guests, so that a look costs what the guests that are not Ready cost, never all. It
decides nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

from innkeeper.domain.reasons import ConditionType, GuestReason, counted_as
from innkeeper.kube.conditions import find
from innkeeper.kube.informer import Change, Key
from innkeeper.views.guest import Guest
from innkeeper.views.meta import Condition

_BOUND_BY = (ConditionType.SCHEDULED, ConditionType.ADDRESSES_ASSIGNED)
"""The steps whose last one a binding makes True."""


class Standings:
    """The sums."""

    def __init__(self) -> None:
        self._by_reason: Counter[str] = Counter()
        self._stalled: Counter[str] = Counter()
        self._unready: defaultdict[str, dict[Key, str]] = defaultdict(dict)  # by reason: since when

    def guest_changed(self, change: Change[Guest]) -> None:
        """Take a Guest that came, changed or went."""
        if change.old is not None:
            self._take_away(change.key, change.old)
        if change.new is not None:
            self._add(change.key, change.new)

    @property
    def by_reason(self) -> Mapping[str, int]:
        """How many Guests there are, by the reason of Ready."""
        return +self._by_reason

    @property
    def stalled(self) -> Mapping[str, int]:
        """How many Guests cannot go on by themselves, by why."""
        return +self._stalled

    def unready_s(self, now: datetime) -> Mapping[str, float]:
        """Return by reason for how many seconds the Guest has not been Ready that has not been for longest."""
        oldest = {reason: min(since.values()) for reason, since in self._unready.items() if since}
        return {
            reason: max(0.0, (now - _moment(since, now)).total_seconds()) for reason, since in oldest.items()
        }

    def _add(self, key: Key, guest: Guest) -> None:
        ready, stalled = _told(guest)
        reason = _reason(ready)
        self._by_reason[reason] += 1
        if stalled is not None:
            self._stalled[_reason(stalled)] += 1
        if ready is None or ready.status != "True":
            self._unready[reason][key] = _since(guest, ready)

    def _take_away(self, key: Key, guest: Guest) -> None:
        ready, stalled = _told(guest)
        self._by_reason[_reason(ready)] -= 1
        if stalled is not None:
            self._stalled[_reason(stalled)] -= 1
        self._unready[_reason(ready)].pop(key, None)


def _told(guest: Guest) -> tuple[Condition | None, Condition | None]:
    conditions = guest.status.conditions
    return find(conditions, ConditionType.READY), find(conditions, ConditionType.STALLED)


def _since(guest: Guest, ready: Condition | None) -> str:
    """Return since when a Guest has not been Ready; one that has a host counts from its binding at the earliest.

    The transition time of Ready moves with its status only, so it still tells when the guest began to wait for room.
    """
    since = (ready.last_transition_time if ready is not None else "") or guest.metadata.creation_timestamp
    if guest.status.host is None:
        return since
    steps = (find(guest.status.conditions, each) for each in _BOUND_BY)
    return max(
        since, *(each.last_transition_time for each in steps if each is not None and each.status == "True")
    )


def _reason(condition: Condition | None) -> str:
    return counted_as(condition.reason if condition is not None else "", GuestReason)


def _moment(text: str, now: datetime) -> datetime:
    """Return the moment that a time of the API server names; now where it names none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return now
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
