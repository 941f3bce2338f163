"""What a scheduling decision is made from: the request of one guest, and the facts of each host."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from innkeeper.domain.quantity import Amounts


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one guest needs. `clusters` are those that its pool and its claims allow; None allows all."""

    guest_id: str
    amounts: Amounts
    cluster: str | None = None
    host_labels: Mapping[str, str] = field(default_factory=dict)
    clusters: frozenset[str] | None = None
    avoid: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """One host: what it may promise in all, and what it has promised."""

    name: str
    cluster: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True
    unschedulable: bool = False
    leaving: bool = False  # deleted or lost
    allocatable: Amounts = field(default_factory=Amounts)
    promised: Amounts = field(default_factory=Amounts)

    @property
    def free(self) -> Amounts:
        """What it may still promise; negative where an admin took away what was promised."""
        return self.allocatable - self.promised
