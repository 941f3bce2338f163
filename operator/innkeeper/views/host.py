"""Host and HostAgent as the hot path reads them."""

from innkeeper.views.meta import Condition, Meta, Resources, View
from innkeeper.views.placement import Taint


class Overcommit(View, frozen=True, kw_only=True):
    """Promised resources in percent of what the machine has (100: no overcommit)."""

    cpu_percent: int = 100
    memory_percent: int = 100
    disk_percent: int = 100


class Reserved(View, frozen=True, kw_only=True):
    """What the machine keeps for itself, as quantities."""

    cpu: str = "0"
    memory: str = "0"
    disk: str = "0"


class HostSpec(View, frozen=True, kw_only=True):
    """What the admin wants of the machine."""

    cluster: str
    reserved: Reserved = Reserved()
    overcommit: Overcommit = Overcommit()
    unschedulable: bool = False
    maintenance: bool = False
    taints: list[Taint] = []
    lost: str | None = None
    allow_emulation: bool = False


class HistoryCursor(View, frozen=True, kw_only=True):
    """How far a host's history was told: lines of its change log, and steps of its guests."""

    store_id: str
    seq: int
    step: int


class HostStatus(View, frozen=True, kw_only=True):
    """What is known of the machine; written by the operator."""

    observed_generation: int = -1
    store_id: str | None = None
    hypervisor: str | None = None
    agent_version: str | None = None
    schedulable: bool = False
    guests: int = 0
    capacity: Resources | None = None
    allocatable: Resources | None = None
    allocated: Resources | None = None
    told: HistoryCursor | None = None
    conditions: list[Condition] = []


class Host(View, frozen=True, kw_only=True):
    """A machine with KVM (or emulation, where the admin allows it)."""

    metadata: Meta
    spec: HostSpec
    status: HostStatus = HostStatus()


class OrderKey(View, frozen=True, kw_only=True):
    """An order key (Ed25519, base64); a later one is signed by an earlier one (`signedBy`, `signature`)."""

    id: str
    public_key: str
    signed_by: str | None = None
    signature: str | None = None


class ManagedBridge(View, frozen=True, kw_only=True):
    """A bridge that the agent makes: with an uplink, behind the host's own address, or with neither."""

    bridge: str = "innkeeper0"
    uplink: str | None = None
    nat: bool = False


class Network(View, frozen=True, kw_only=True):
    """The network of the hosts of a Cluster: an existing bridge on each of them, or one that the agents make."""

    bridge: str | None = None
    managed: ManagedBridge | None = None
    vlan: int | None = None
    mtu: int | None = None  # bytes

    @property
    def base(self) -> str:
        """The name of the bridge that guests are joined to, be it over a VLAN."""
        return self.managed.bridge if self.managed is not None else self.bridge or ""

    @property
    def is_behind_hosts(self) -> bool:
        """Whether each host is the gateway of its guests (NAT)."""
        return self.managed is not None and self.managed.nat


class HostScheduling(View, frozen=True, kw_only=True):
    """What a Host says of guests to come; its agent only keeps it, for the day on which the Host is made anew."""

    unschedulable: bool = False
    maintenance: bool = False
    taints: list[Taint] = []
    labels: dict[str, str] = {}


class HostAgentSpec(View, frozen=True, kw_only=True):
    """The host's own orders: the effective settings of Host and Cluster."""

    cluster: str
    network: Network
    allow_emulation: bool = False
    reserved: Reserved = Reserved()
    overcommit: Overcommit = Overcommit()
    scheduling: HostScheduling | None = None  # None: an operator or an agent of before did not tell it
    order_keys: list[OrderKey] = []
    certificate: str | None = None  # PEM, of the host API


class HeldImage(View, frozen=True, kw_only=True):
    """An image that lies on a host, and how much of it."""

    digest: str
    percent: int


class HostAgentStatus(View, frozen=True, kw_only=True):
    """The agent's report."""

    observed_generation: int = -1
    store_id: str | None = None
    agent_version: str | None = None
    boot_id: str | None = None
    address: str | None = None  # host:port of its API
    hypervisor: str | None = None  # KVM or Emulation
    driver: str | None = None
    capacity: Resources | None = None
    images: list[HeldImage] = []
    certificate_request: str | None = None
    conditions: list[Condition] = []


class HostAgent(View, frozen=True, kw_only=True):
    """One object, named `host`, in the host's namespace."""

    metadata: Meta
    spec: HostAgentSpec
    status: HostAgentStatus = HostAgentStatus()
