"""Guest: a virtual machine that somebody wants.

Users write the spec, the operator alone writes the status. All of the spec but `power`, `restartPolicy` and
`readinessProbe` is immutable.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.fields import (
    Amounts,
    Conditions,
    Counter,
    Digest,
    DnsLabel,
    GuestId,
    HostName,
    IpAddress,
    LocalMac,
    MacAddress,
    ObjectName,
    ObservedGeneration,
    Resources,
    WrittenIp,
)
from innkeeper.api.model import (
    AGE,
    ATOMIC,
    READY,
    SET,
    ApiModel,
    Column,
    Definition,
    Kind,
    Rule,
    exactly_one,
    immutable,
    map_keys,
)
from innkeeper.api.v1alpha1.placement import LabelSelector, Placement
from innkeeper.api.v1alpha1.probe import ReadinessProbe
from innkeeper.domain.reasons import Power, RestartPolicy, Storage

SSH_KEY_PATTERN = (
    r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) "
    r"[A-Za-z0-9+/]+={0,3}( [^\r\n]*)?$"
)
SshKey = Annotated[str, Field(max_length=4096, pattern=SSH_KEY_PATTERN)]

_AGAIN = "delete the Guest and create it again"


_OWN_MACS = Rule(
    "self.all(i, !has(i.mac) || self.exists_one(j, has(j.mac) && j.mac == i.mac))",
    "each interface needs a mac of its own: take another one, or leave it out",
)
_OWN_ADDRESSES = Rule(
    "self.all(i, !has(i.addresses) || i.addresses.all(a, !has(a.address) || !isIP(a.address) || "
    "self.map(j, has(j.addresses) ? j.addresses.filter(b, has(b.address) && isIP(b.address) && "
    "ip(b.address) == ip(a.address)).size() : 0).sum() == 1))",
    "an address can be asked for once in a Guest: take another one, or leave it out",
)


class ImageRef(ApiModel):
    """Which Image to boot."""

    name: ObjectName
    """Name of the Image."""
    namespace: DnsLabel | None = None
    """Its namespace, where it is not the Guest's own; the Image must say `shared: true`."""


class InterfaceAddress(ApiModel):
    """One address of an interface."""

    rules: ClassVar = (exactly_one("pool", "poolSelector"),)

    pool: ObjectName | None = None
    """The IPPool that it comes from."""
    pool_selector: LabelSelector | None = None
    """Labels of IPPools: it comes from the first, by name, that has a free address and serves a cluster with room."""
    address: IpAddress | None = None
    """This very address and no other; any free one when absent."""


class Interface(ApiModel):
    """One network interface of the guest."""

    rules: ClassVar = (exactly_one("pool", "addresses"),)

    name: Annotated[str, Field(min_length=1, max_length=15, pattern="^[a-z][a-z0-9]*$")] = "eth0"
    """Its name in the guest."""
    pool: ObjectName | None = None
    """The IPPool that its one address comes from; or give `addresses`."""
    addresses: Annotated[list[InterfaceAddress], Field(min_length=1, max_length=2), ATOMIC] | None = None
    """Its addresses, at most one of each family: all of them are had, or none."""
    mac: LocalMac | None = None
    """Its MAC address, unicast and locally administered: its second digit is 2, 6, a or e, and it does not begin with fe.
    One is made from the Guest ID when absent."""


class UserData(ApiModel):
    """cloud-init user data, given in one of two ways."""

    rules: ClassVar = (exactly_one("inline", "secretName"),)

    inline: Annotated[str, Field(min_length=1, max_length=65536)] | None = None
    """The text itself, at most 64 KiB. It is readable by all who may read the Guest: use a Secret for secrets."""
    secret_name: ObjectName | None = None
    """A Secret in the Guest's namespace that holds the text under the key `userData`."""


class GuestSpec(ApiModel):
    """What the user wants. Immutable but for `power`, `restartPolicy` and `readinessProbe`."""

    rules: ClassVar = (
        exactly_one("flavor", "resources"),
        *(
            immutable(field, _AGAIN)
            for field in (
                "image",
                "storage",
                "flavor",
                "resources",
                "interfaces",
                "placement",
                "priority",
                "sshKeys",
                "userData",
                "hostname",
            )
        ),
    )

    image: ImageRef
    """The Image to boot from."""
    flavor: ObjectName | None = None
    """A Flavor, which names a size; or give `resources`."""
    resources: Resources | None = None
    """The size itself; or name a `flavor`."""
    power: Power = Power.RUNNING
    """Whether the guest runs or is stopped. A stopped guest keeps its host, disk and addresses."""
    restart_policy: RestartPolicy = RestartPolicy.ALWAYS
    """What happens when the guest's machine ends by itself."""
    storage: Storage = Storage.STREAM
    """`Stream` starts the guest while its image is still arriving; `Copy` once all of it is on the host."""
    readiness_probe: ReadinessProbe | None = None
    """When it is Ready: once its machine runs when absent."""
    interfaces: Annotated[
        list[Interface], Field(min_length=1, max_length=8), map_keys("name"), _OWN_MACS, _OWN_ADDRESSES
    ]
    """Network interfaces, each on the network of the guest's Cluster. Of each family the first one whose pool has a
    gateway has the default route; the others are used in their own networks."""
    placement: Placement | None = None
    """Where the guest may run; anywhere when absent."""
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    """Who is placed first while guests wait: the higher, then the older. It ends no other guest."""
    ssh_keys: Annotated[list[SshKey], Field(max_length=16), SET] = Field(default_factory=list)
    """Public keys that may log in, each as one line of `authorized_keys`."""
    user_data: UserData | None = None
    """User data for cloud-init."""
    hostname: DnsLabel | None = None
    """The guest's own hostname; its name when absent."""


class GuestAddress(ApiModel):
    """One address that is bound to the guest."""

    interface: Annotated[str, Field(max_length=15)]
    """The interface that has it."""
    pool: ObjectName
    """The pool that it came from."""
    address: WrittenIp
    """The address."""
    mac: MacAddress
    """The interface's MAC address."""


class BoundImage(ApiModel):
    """The image as it was when the guest was bound."""

    namespace: DnsLabel
    """Its namespace."""
    name: ObjectName
    """Its name."""
    digest: Digest
    """Its digest."""


class GuestStatus(ApiModel):
    """Facts of the binding (host to epoch) and conditions, projected from the host."""

    observed_generation: ObservedGeneration = -1
    """The generation that the operator has seen."""
    id: GuestId | None = None
    """The Guest ID: the annotation `innkeeper.dev/id`, else the object's UID."""
    urn: Annotated[str, Field(max_length=128)] | None = None
    """`urn:innkeeper:guest:<id>`."""
    cluster: ObjectName | None = None
    """The Cluster that the guest runs in."""
    host: HostName | None = None
    """The Host that the guest runs on."""
    epoch: Counter = 0
    """How often the guest was given to a host."""
    addresses: Annotated[list[GuestAddress], Field(max_length=16), map_keys("interface", "address")] = Field(
        default_factory=list
    )
    """Its addresses."""
    image: BoundImage | None = None
    """The image that it boots."""
    resources: Amounts | None = None
    """Its size."""
    conditions: Conditions = Field(default_factory=list)
    """`ImageResolved`, `Scheduled`, `AddressesAssigned`, `Ready`; `Stalled` while it cannot go on by itself;
    `Reconciling` while Ready still speaks of an older spec."""


class Guest(Kind):
    """A virtual machine that somebody wants."""

    rules: ClassVar = (
        Rule(
            "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "a Guest's name serves as its hostname: take at most 63 of a-z, 0-9 and -, no dot",
        ),
    )
    definition: ClassVar = Definition(
        plural="guests",
        short_name="gst",
        scope="Namespaced",
        columns=(
            READY,
            Column("Power", ".spec.power"),
            Column("Host", ".status.host"),
            Column("IP", ".status.addresses[0].address"),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
            Column("Image", ".spec.image.name", wide=True),
            Column("Flavor", ".spec.flavor", wide=True),
            Column("Priority", ".spec.priority", "integer", wide=True),
            AGE,
        ),
    )

    spec: GuestSpec
    """What the user wants."""
    status: GuestStatus = GuestStatus()
    """What is; written by the operator."""
