"""What a decision looked like: the verdict of every rule for every host, and the scores of those that fit.

Plain data that the query API renders. It is made by the same rules as the decision itself, never by a second engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from innkeeper.domain.scheduling.cycle import Placement


class RuleKind(StrEnum):
    """Whether a rule rules hosts out, or ranks those that are left."""

    FILTER = "Filter"
    SCORE = "Score"


@dataclass(frozen=True, kw_only=True)
class RuleInfo:
    """One rule of the registry; the range and the weight are those of scores."""

    name: str
    kind: RuleKind
    lowest: float = 0.0
    highest: float = 0.0
    weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One rule that a host fails: the rule's name, its reason, and words about this host."""

    rule: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class HostVerdict:
    """What all rules say of one host; `scores` by rule and their weighted `total` only where none fails."""

    host: str
    cluster: str
    failures: tuple[Failure, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    total: float | None = None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A whole decision but its verdicts. `message` is what the condition `Scheduled` would say."""

    message: str
    rules: tuple[RuleInfo, ...]
    hosts: int
    fits: int  # of the hosts, those that no rule rules out
    chosen: Placement | None = None  # where the guest would be placed now
