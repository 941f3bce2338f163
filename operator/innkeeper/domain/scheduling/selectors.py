"""Label selectors, as plain hashable data: what Kubernetes calls `matchLabels` and `matchExpressions`, in one list.

The meaning is that of `metav1.LabelSelector`: all requirements must hold, and `NotIn` holds where the key is absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The plug-in of kubectl reads selectors too, and ships no library that views need.
    from innkeeper.views.placement import LabelSelector


class Operator(StrEnum):
    """How a requirement looks at the value of its key."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that must be so about one label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def allows(self, value: str | None) -> bool:
        """Tell whether a value of the label, or its absence (None), is allowed."""
        if self.operator is Operator.IN:
            return value in self.values
        if self.operator is Operator.NOT_IN:
            return value not in self.values
        return (value is not None) is (self.operator is Operator.EXISTS)


@dataclass(frozen=True, slots=True)
class Selector:
    """All of these requirements; none means that everything matches."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def of(cls, view: "LabelSelector | None") -> "Selector":
        """Return the selector that an object holds.

        Raises:
            ValueError: an operator is not known.
        """
        if view is None:
            return cls()
        labels = (
            Requirement(key, Operator.IN, frozenset((value,)))
            for key, value in sorted(view.match_labels.items())
        )
        expressions = (
            Requirement(each.key, Operator(each.operator), frozenset(each.values))
            for each in view.match_expressions
        )
        return cls((*labels, *expressions))

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the labels that it looks at."""
        return frozenset(each.key for each in self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(each.allows(labels.get(each.key)) for each in self.requirements)
