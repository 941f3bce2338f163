"""Guest as the hot path reads it."""

from innkeeper.views.meta import Condition, Meta, Resources, View
from innkeeper.views.placement import (
    GuestTerm,
    LabelSelector,
    SpreadConstraint,
    Toleration,
    WeightedGuestTerm,
)


class ImageRef(View, frozen=True, kw_only=True):
    """Which Image: by name, in the Guest's namespace unless another one is named."""

    name: str
    namespace: str | None = None


class InterfaceAddress(View, frozen=True, kw_only=True):
    """One address to be had: from a pool by name or by labels, any one or a certain one."""

    pool: str | None = None
    pool_selector: LabelSelector | None = None
    address: str | None = None


class Interface(View, frozen=True, kw_only=True):
    """One network interface: its name in the Guest, where its addresses come from, and its MAC where one is asked for."""

    name: str = "eth0"
    pool: str | None = None
    addresses: list[InterfaceAddress] | None = None
    mac: str | None = None


class Affinity(View, frozen=True, kw_only=True):
    """Guests to be near to, or apart from."""

    required: list[GuestTerm] = []
    preferred: list[WeightedGuestTerm] = []


class Placement(View, frozen=True, kw_only=True):
    """Where the Guest may run, and where it would rather run."""

    cluster: str | None = None
    cluster_selector: LabelSelector | None = None
    host_selector: LabelSelector | None = None
    tolerations: list[Toleration] = []
    affinity: Affinity | None = None
    anti_affinity: Affinity | None = None
    spread: list[SpreadConstraint] = []


class UserData(View, frozen=True, kw_only=True):
    """cloud-init user data: inline text, or the name of a Secret with the key `userData`."""

    inline: str | None = None
    secret_name: str | None = None


class TcpProbe(View, frozen=True, kw_only=True):
    """The port that a guest must take connections at."""

    port: int


class ReadinessProbe(View, frozen=True, kw_only=True):
    """What a guest is asked before it counts as ready: exactly one of the first three."""

    ping: View | None = None
    tcp: TcpProbe | None = None
    guest_agent: View | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3


class GuestSpec(View, frozen=True, kw_only=True):
    """What the user wants."""

    image: ImageRef
    flavor: str | None = None
    resources: Resources | None = None
    power: str = "Running"
    restart_policy: str = "Always"
    storage: str = "Stream"
    readiness_probe: ReadinessProbe | None = None
    interfaces: list[Interface] = []
    placement: Placement | None = None
    priority: int = 0
    ssh_keys: list[str] = []
    user_data: UserData | None = None
    hostname: str | None = None


class GuestAddress(View, frozen=True, kw_only=True):
    """One address that is bound to the Guest."""

    interface: str
    pool: str
    address: str
    mac: str


class BoundImage(View, frozen=True, kw_only=True):
    """The image as it was when the Guest was bound."""

    namespace: str
    name: str
    digest: str


class GuestStatus(View, frozen=True, kw_only=True):
    """Facts of the binding (host to epoch) and the conditions projected from the host."""

    observed_generation: int = -1
    id: str | None = None
    urn: str | None = None
    cluster: str | None = None
    host: str | None = None
    epoch: int = 0
    addresses: list[GuestAddress] = []
    image: BoundImage | None = None
    resources: Resources | None = None
    conditions: list[Condition] = []


class Guest(View, frozen=True, kw_only=True):
    """A virtual machine that somebody wants."""

    metadata: Meta
    spec: GuestSpec
    status: GuestStatus = GuestStatus()
