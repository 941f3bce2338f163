"""What is known of a host, of a cluster, and of a guest that a host has: what a fleet is fed with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.request import Term
from innkeeper.views.placement import Taint


class Strategy(StrEnum):
    """How the hosts of a cluster are filled."""

    SPREAD = "Spread"  # the emptiest first
    PACK = "Pack"  # the fullest first


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """One cluster."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    strategy: Strategy = Strategy.SPREAD


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """One host: where it stands, what it may promise in all, and whether it takes guests."""

    name: str
    cluster: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    ready: bool = True
    unschedulable: bool = False
    maintenance: bool = False
    leaving: bool = False  # deleted or lost
    allocatable: Amounts = field(default_factory=Amounts)
    images: Mapping[str, int] = field(default_factory=dict)  # percent that is there, by digest


@dataclass(frozen=True, kw_only=True)
class Resident:
    """A guest that a host holds a promise for. `apart` are its own terms: whom it keeps out of its places."""

    host: str
    amounts: Amounts
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    apart: tuple[Term, ...] = ()
