"""Things by what they have in common: which guests a namespace, a host, a MAC or an image has; or the one of a name.

Fed by the subset with each change. What nobody has any more is not kept.
"""

from collections import defaultdict
from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

Common = TypeVar("Common", bound=Hashable)
Member = TypeVar("Member", bound=Hashable)


def put_or_drop(table: dict[Common, Member], common: Common, member: Member | None) -> None:
    """Note the one that has it, or that nobody has."""
    if member is None:
        table.pop(common, None)
    else:
        table[common] = member


class Index(Generic[Common, Member]):
    """Members by what they have in common."""

    def __init__(self) -> None:
        self._members: defaultdict[Common, set[Member]] = defaultdict(set)

    def of(self, common: Common) -> AbstractSet[Member]:
        """Return who has it; it is not to be kept."""
        return self._members.get(common, frozenset())

    def add(self, common: Common, member: Member) -> None:
        """Note that somebody has it."""
        self._members[common].add(member)

    def discard(self, common: Common, member: Member) -> None:
        """Note that somebody has it no more."""
        members = self._members.get(common)
        if members is not None:
            members.discard(member)
            if not members:
                del self._members[common]
