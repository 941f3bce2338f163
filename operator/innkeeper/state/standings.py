"""How all Guests stand: how many by the reason of Ready, and which are not Ready, since when.

Running sums, fed by the changes of Guests, so that a look costs what the guests that are not Ready cost, never all.
Which hosts are told to be silent is asked at each look. It decides nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from innkeeper.domain.reasons import ConditionType, GuestReason, counted_as
from innkeeper.kube.conditions import find
from innkeeper.kube.informer import Change, Key
from innkeeper.views.guest import Guest
from innkeeper.views.meta import Condition

_BOUND_BY = (ConditionType.SCHEDULED, ConditionType.ADDRESSES_ASSIGNED)
"""The steps whose last one a binding makes True."""
_FIRST_EPOCH = 1
"""That of a guest which no host has refused."""
_WAIT_FOR_HOST = (GuestReason.HOST_UNREACHABLE, GuestReason.DELETION_WAITS_FOR_HOST)


@dataclass(frozen=True)
class _Unready:
    since: str
    host: str | None


class Standings:
    """The sums.

    `host_is_told_silent` tells whether a host is counted among the silent ones, which then stands for its guests.
    """

    def __init__(self, *, host_is_told_silent: Callable[[str], bool]) -> None:
        self._host_is_told_silent = host_is_told_silent
        self._by_reason: Counter[str] = Counter()
        self._stalled: Counter[str] = Counter()
        self._unready: defaultdict[str, dict[Key, _Unready]] = defaultdict(dict)  # by reason

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
        """Return by reason for how many seconds the Guest has not been Ready that has not been for longest.

        Those that wait for a host which is told to be silent are left out.
        """
        times = {
            reason: [each.since for each in guests.values() if not self._host_stands_for(reason, each)]
            for reason, guests in self._unready.items()
        }
        return {
            reason: max(0.0, (now - _moment(min(since), now)).total_seconds())
            for reason, since in times.items()
            if since
        }

    def _host_stands_for(self, reason: str, guest: _Unready) -> bool:
        return reason in _WAIT_FOR_HOST and guest.host is not None and self._host_is_told_silent(guest.host)

    def _add(self, key: Key, guest: Guest) -> None:
        ready, stalled = _told(guest)
        reason = _reason(ready)
        self._by_reason[reason] += 1
        if stalled is not None:
            self._stalled[_reason(stalled)] += 1
        if ready is None or ready.status != "True":
            self._unready[reason][key] = _Unready(_since(guest, ready), guest.status.host)

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
    """Return since when a Guest has not been Ready; one that has its first host counts from its binding at the earliest.

    The transition time of Ready moves with its status only, so it still tells when the guest began to wait for room. A
    guest that was refused goes on counting: each refusal brings a binding, so it would never be old.
    """
    since = (ready.last_transition_time if ready is not None else "") or guest.metadata.creation_timestamp
    if guest.status.host is None or guest.status.epoch > _FIRST_EPOCH:
        return since
    steps = (find(guest.status.conditions, each) for each in _BOUND_BY)
    bound = (each.last_transition_time for each in steps if each is not None and each.status == "True")
    return max([since, *bound])


def _reason(condition: Condition | None) -> str:
    return counted_as(condition.reason if condition is not None else "", GuestReason)


def _moment(text: str, now: datetime) -> datetime:
    """Return the moment that a time of the API server names; now where it names none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return now
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
