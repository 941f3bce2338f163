"""IPPool and IPAddress as the hot path reads them."""

from innkeeper.views.meta import Condition, Meta, View
from innkeeper.views.placement import LabelSelector


class AddressRange(View, frozen=True, kw_only=True):
    """Addresses from `start` to `end`, both included."""

    start: str
    end: str


class Reservation(View, frozen=True, kw_only=True):
    """An address that is given to its owner only."""

    address: str
    owner: str
    reason: str = ""


class IPPoolSpec(View, frozen=True, kw_only=True):
    """Addresses for the guests of one or more clusters."""

    cidr: str
    address_space: str = "default"
    ranges: list[AddressRange] = []
    exclude: list[str] = []
    gateway: str | None = None
    dns: list[str] = []
    search_domains: list[str] = []
    mtu: int | None = None
    vlan: int | None = None
    clusters: list[str] | None = None
    cluster_selector: LabelSelector | None = None
    reservations: list[Reservation] = []
    quarantine: str = "5m"
    order: str = "Random"
    max_per_namespace: int | None = None


class IPPoolStatus(View, frozen=True, kw_only=True):
    """Counters, never a list of allocations."""

    observed_generation: int = -1
    total: int = 0
    used: int = 0
    free: int = 0
    quarantined: int = 0
    outside: int = 0
    conditions: list[Condition] = []


class IPPool(View, frozen=True, kw_only=True):
    """A pool of addresses."""

    metadata: Meta
    spec: IPPoolSpec
    status: IPPoolStatus = IPPoolStatus()


class AddressOwner(View, frozen=True, kw_only=True):
    """Who holds an address."""

    id: str
    namespace: str
    name: str
    interface: str
    since: str | None = None  # None: an earlier operator did not note it


class IPAddressSpec(View, frozen=True, kw_only=True):
    """One claimed address; without an owner it is in quarantine since `releasedAt`."""

    pool: str
    address_space: str
    address: str
    owner: AddressOwner | None = None
    released_at: str | None = None


class IPAddress(View, frozen=True, kw_only=True):
    """One address; its name is `<address space>.<address>`."""

    metadata: Meta
    spec: IPAddressSpec
