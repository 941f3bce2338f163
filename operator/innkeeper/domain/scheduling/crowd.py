"""How many guests of a group each place has, for rules that speak of other guests.

A place is a host, or all hosts with the same value of a label. Counts are kept while guests come and go, so a decision
reads them and never walks over guests. Two kinds are counted: members of a group, and keepers: guests that keep a
group out of their places.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from innkeeper.domain.scheduling.columns import LabelColumns
from innkeeper.domain.scheduling.counting import Count
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.request import Group, Request, Term
from innkeeper.domain.scheduling.tally import Tally
from innkeeper.views.placement import HOST_TOPOLOGY

# How many guests one step of a recount looks at, and for how many groups.
GUESTS_AT_ONCE = 500
GROUPS_AT_ONCE = 16
_MAX_GROUPS = 512
_NONE: Mapping[Group, Tally] = {}
_MAX_REMEMBERED = 4096


@dataclass
class Namespace:
    """What is counted in one namespace."""

    guests: dict[str, tuple[Resident, int]] = field(default_factory=dict)  # by Guest ID, with its row
    keepers: dict[Term, Tally] = field(default_factory=dict)
    # Keys of labels that its keepers look at. Who goes leaves them: it may come back, and part those again who wait.
    looked_at: frozenset[str] = frozenset()


class Crowd:
    """All counts, and the guests that they count."""

    def __init__(self) -> None:
        self._changes = 0  # how often the set of terms of keepers changed
        self._labels: LabelColumns
        self._namespaces: defaultdict[str, Namespace] = defaultdict(Namespace)
        self._on_row: Counter[int] = Counter()  # how many guests each row has
        self._members: defaultdict[str, dict[Group, Tally]] = defaultdict(dict)  # by namespace
        self._used: dict[Group, None] = {}  # the one used longest ago first
        self._against: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[Term, Tally]]] = {}
        self._counts: list[Count] = []  # under way

    def follow(self, labels: LabelColumns) -> None:
        """Take the columns that tell the places of rows."""
        self._labels = labels

    def arrive(self, guest_id: str, resident: Resident, row: int) -> None:
        """Count a guest."""
        space = self._namespaces[resident.namespace]
        space.guests[guest_id] = (resident, row)
        self._on_row[row] += 1
        self._note(resident, row, 1)
        for term in resident.apart:
            if term not in space.keepers:
                space.keepers[term] = Tally(self._labels)
                space.looked_at |= term.group.selector.keys
                self._forget_keepers()
            space.keepers[term].add(row, 1)

    def leave(self, guest_id: str, resident: Resident, row: int) -> None:
        """Count a guest no more."""
        space = self._namespaces[resident.namespace]
        space.guests.pop(guest_id, None)
        self._on_row[row] -= 1
        if not self._on_row[row]:
            del self._on_row[row]
        self._note(resident, row, -1)
        for term in resident.apart:
            tally = space.keepers[term]
            tally.add(row, -1)
            if not tally.total:
                del space.keepers[term]
                self._forget_keepers()
        if not space.guests:
            del self._namespaces[resident.namespace]

    def _note(self, resident: Resident, row: int, by: int) -> None:
        for count in self._counts:
            count.note(resident, row, by)
        for group, tally in self._members.get(resident.namespace, _NONE).items():
            if group.selector.matches(resident.labels):
                tally.add(row, by)

    def _forget_keepers(self) -> None:
        self._changes += 1
        self._against.clear()

    def moved(self, row: int, key: str, before: int, after: int) -> None:
        """A host changed places; while hosts come one by one, few have guests yet."""
        if row not in self._on_row:
            return
        for tallies in self._members.values():
            for tally in tallies.values():
                tally.move(row, key, before=before, after=after)
        for space in self._namespaces.values():
            for tally in space.keepers.values():
                tally.move(row, key, before=before, after=after)

    def members(self, group: Group) -> Tally:
        """Return the counts of a group; they are kept from the first question on, for the groups asked for last."""
        tallies = self._members[group.namespace]
        tally = tallies.get(group)
        if tally is None:
            tally = tallies[group] = Tally.of(self._labels, self._counted(group))
        self._used.pop(group, None)
        self._used[group] = None
        if len(self._used) > _MAX_GROUPS:
            self._forget(next(iter(self._used)))
        return tally

    def _forget(self, group: Group) -> None:
        del self._used[group]
        del self._members[group.namespace][group]
        if not self._members[group.namespace]:
            del self._members[group.namespace]

    def keepers_against(self, request: Request) -> list[tuple[Term, Tally]]:
        """Return the terms of guests that are there already which keep this request's guest out of their places."""
        space = self._namespaces.get(request.namespace)
        if space is None or not space.keepers:
            return []
        known = self._against.get((request.namespace, request.labels))
        if known is None:
            if len(self._against) > _MAX_REMEMBERED:
                self._against.clear()
            known = [(term, tally) for term, tally in space.keepers.items() if request.is_of(term.group)]
            self._against[request.namespace, request.labels] = known
        return known

    def in_common(self, request: Request) -> Request:
        """Return a request with those labels alone that a rule looks at now: for guests that share it, all find the same.

        Many guests have a label of their own, such as their name.
        """
        return request.cut_to(self._looked_at(request) | request.speaks_of) if request.labels else request

    def looks_at_more(self, request: Request) -> bool:
        """Tell whether guests that share a request may find different things by now: a keeper looks at more labels."""
        return request.label_keys is not None and not self._looked_at(request) <= request.label_keys

    def _looked_at(self, request: Request) -> frozenset[str]:
        space = self._namespaces.get(request.namespace)
        return space.looked_at if space is not None else frozenset()

    def closing(self, request: Request) -> tuple[int, int]:
        """Return what stays the same while no keeper closes a place of several hosts to this request.

        A keeper that closes its own host alone changes that host's row, which tells as much.
        """
        wide = (
            tally.arrivals
            for term, tally in self.keepers_against(request)
            if term.topology_key != HOST_TOPOLOGY
        )
        return self._changes, sum(wide)

    def correct(self) -> Iterator[int]:
        """Count every group anew, a few guests or groups at a time; yield how many differed, each set right already.

        Between two of these steps guests may come and go, and hosts change places.
        """
        for namespace in dict.fromkeys((*self._namespaces, *self._members)):
            groups = list(self._members.get(namespace, _NONE))
            yield from self._compared(Count(namespace, groups[:GROUPS_AT_ONCE], with_keepers=True))
            for begin in range(GROUPS_AT_ONCE, len(groups), GROUPS_AT_ONCE):
                part = groups[begin : begin + GROUPS_AT_ONCE]
                yield from self._compared(Count(namespace, part, with_keepers=False))

    def _compared(self, count: Count) -> Iterator[int]:
        space = self._namespaces.get(count.namespace)
        guests = list(space.guests.values()) if space is not None else []
        self._counts.append(count)
        try:
            for begin in range(0, len(guests), GUESTS_AT_ONCE):
                count.take(guests[begin : begin + GUESTS_AT_ONCE])
                yield 0
            for group, counted in count.members.items():
                yield self._correct_members(group, counted)
            if not count.with_keepers:
                return
            kept = space.keepers if space is not None else ()
            terms = list({*kept, *count.keepers})
            for begin in range(0, len(terms), GUESTS_AT_ONCE):
                yield sum(
                    self._correct_keepers(count, term) for term in terms[begin : begin + GUESTS_AT_ONCE]
                )
        finally:
            self._counts.remove(count)

    def _correct_members(self, group: Group, counted: Counter[int]) -> bool:
        tallies = self._members.get(group.namespace, {})
        # A group may have been forgotten since the count began.
        if group not in tallies or not tallies[group].differs(counted):
            return False
        tallies[group] = Tally.of(self._labels, counted)
        return True

    def _counted(self, group: Group) -> Counter[int]:
        space = self._namespaces.get(group.namespace)
        guests = space.guests.values() if space else ()
        return Counter(row for resident, row in guests if group.selector.matches(resident.labels))

    def _correct_keepers(self, count: Count, term: Term) -> bool:
        space = self._namespaces.get(count.namespace)
        # Its last guest may have gone since, and with it all that was counted.
        if space is None:
            return False
        counted, kept = +count.keepers[term], space.keepers.get(term)
        if (not counted) if kept is None else (bool(counted) and not kept.differs(counted)):
            return False
        space.keepers.pop(term, None)
        if counted:
            space.keepers[term] = Tally.of(self._labels, counted)
            space.looked_at |= term.group.selector.keys
        self._forget_keepers()
        return True

    def nbytes(self) -> int:
        """Return the bytes that the arrays take."""
        keepers = (tally for space in self._namespaces.values() for tally in space.keepers.values())
        members = (tally for tallies in self._members.values() for tally in tallies.values())
        return sum(tally.nbytes() for tally in (*members, *keepers))
