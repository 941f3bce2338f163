"""What one guest asks of a host. It says nothing of who asks, so equal guests have equal requests and share work.

Everything in it is immutable and hashable. `asking` makes one from a Guest.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from operator import attrgetter

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.views.placement import HOST_TOPOLOGY, Taint

EVERYTHING = Selector()


class Effect(StrEnum):
    """What a taint does to guests that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Taints that a guest puts up with; no value means any value, no effect every effect, no key every key."""

    key: str = ""
    value: str | None = None
    effect: str | None = None

    def covers(self, taint: Taint) -> bool:
        """Tell whether this taint is tolerated."""
        return (
            self.key in ("", taint.key)
            and self.value in (None, taint.value)
            and self.effect in (None, taint.effect)
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Guests of one namespace, chosen by their labels."""

    namespace: str
    selector: Selector

    def has(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Tell whether a guest belongs to it."""
        return namespace == self.namespace and self.selector.matches(labels)


@dataclass(frozen=True, slots=True)
class Term:
    """A group of guests, and what counts as the same place: hosts with the same value of a label."""

    group: Group
    topology_key: str = HOST_TOPOLOGY


@dataclass(frozen=True, slots=True)
class Wish:
    """A term that is rather met than not; a negative weight: rather not met."""

    term: Term
    weight: int


@dataclass(frozen=True, slots=True)
class SpreadLimit:
    """How unevenly a group may lie over places."""

    term: Term
    max_skew: int = 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """All that a guest asks.

    `clusters` are those that all its pools serve (None: every cluster); `addresses_free` is false where one of its pools
    has no address left for it. `pools` rules out no host: it tells guests apart that wait, by what they ask of pools. In
    the clusters of `mac_in_use` another guest has its MAC. `labels` are the guest's own, sorted pairs, which other
    guests' terms may speak of; where `label_keys` are given, only those with these keys: see `Crowd.in_common`.
    """

    amounts: Amounts
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    label_keys: frozenset[str] | None = None
    image: str = ""  # its digest
    cluster: str | None = None
    cluster_selector: Selector = EVERYTHING
    host_selector: Selector = EVERYTHING
    clusters: frozenset[str] | None = None
    addresses_free: bool = True
    pools: tuple[Hashable, ...] = ()
    mac_in_use: frozenset[str] = frozenset()
    tolerations: tuple[Tolerance, ...] = ()
    avoid: frozenset[str] = frozenset()  # hosts that refused it lately
    near: tuple[Term, ...] = ()
    apart: tuple[Term, ...] = ()
    spread: tuple[SpreadLimit, ...] = ()
    wishes: tuple[Wish, ...] = ()
    spread_wishes: tuple[Term, ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # A request is looked up many times; its hash walks over everything in it.
        return hash(_COMPARED(self))

    @property
    def speaks_of_guests(self) -> bool:
        """Whether where other guests are can change what fits, or which of what fits is best."""
        return bool(self.is_ruled_by_guests or self.wishes or self.spread_wishes)

    @property
    def is_ruled_by_guests(self) -> bool:
        """Whether where other guests are can change what fits; wishes rule out nothing."""
        return bool(self.near or self.apart or self.spread)

    @property
    def is_helped_by_arrivals(self) -> bool:
        """Whether a guest that comes can make a host fit: as company, or by filling the emptiest place of a spread."""
        return bool(self.near or self.spread)

    @property
    def speaks_of(self) -> frozenset[str]:
        """The keys of the labels that its own terms look at."""
        spread, wishes = (each.term for each in self.spread), (each.term for each in self.wishes)
        terms = (*self.near, *self.apart, *spread, *wishes, *self.spread_wishes)
        return frozenset[str]().union(*(each.group.selector.keys for each in terms))

    def cut_to(self, keys: frozenset[str]) -> "Request":
        """Return the request without the labels of all other keys; itself where it has none."""
        labels = tuple(each for each in self.labels if each[0] in keys)
        return self if labels == self.labels else replace(self, labels=labels, label_keys=keys)

    def is_of(self, group: Group) -> bool:
        """Tell whether the guest that asks belongs to a group."""
        return group.has(self.namespace, dict(self.labels))


_COMPARED = attrgetter(*Request.__dataclass_fields__)
