"""HostAgent: the host's own orders and its report.

One object, named `host`, in the host's namespace. The operator writes the spec, that host's agent the status.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.fields import Amounts, Conditions, Digest, LabelValue, ObjectName, ObservedGeneration
from innkeeper.api.model import AGE, ATOMIC, READY, ApiModel, Column, Definition, Kind, Rule, map_keys
from innkeeper.api.v1alpha1.cluster import Network
from innkeeper.api.v1alpha1.host import AgentVersion, Hypervisor, Overcommit, Reserved, StoreId
from innkeeper.api.v1alpha1.placement import Taint

KeyId = Annotated[str, Field(max_length=16, pattern="^[0-9a-f]{16}$")]


HostPort = Annotated[
    str,
    Field(
        max_length=259,
        pattern=r"^([a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\]):[1-9][0-9]{0,4}$",
    ),
]


class OrderKey(ApiModel):
    """A key that orders are signed with. A later one carries the signature of an earlier one."""

    id: KeyId
    """The first 16 hex digits of the key's SHA-256."""
    public_key: Annotated[str, Field(max_length=44, pattern="^[A-Za-z0-9+/]{43}=$")]
    """The Ed25519 public key, base64."""
    signed_by: KeyId | None = None
    """The earlier key that signed this one."""
    signature: Annotated[str, Field(max_length=88, pattern="^[A-Za-z0-9+/]{86}==$")] | None = None
    """That signature, base64."""


Pem = Annotated[
    str, Field(max_length=4096, pattern=r"^-----BEGIN CERTIFICATE( REQUEST)?-----\n[A-Za-z0-9+/=\n]+")
]


class HostScheduling(ApiModel):
    """What the Host says of guests to come. Its agent only keeps it: a Host that is made anew has it again."""

    unschedulable: bool = False
    """Whether it takes no new guests."""
    maintenance: bool = False
    """Whether work on the machine is planned."""
    taints: Annotated[list[Taint], Field(max_length=16), map_keys("key", "effect")] = Field(
        default_factory=list
    )
    """What keeps guests off that do not tolerate it."""
    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    """The Host's labels, the first 64 by name."""


class HostAgentSpec(ApiModel):
    """The effective settings of Host and Cluster."""

    cluster: ObjectName
    """The Cluster that the host belongs to."""
    network: Network
    """Its network."""
    allow_emulation: bool = False
    """Whether guests may run without KVM."""
    reserved: Reserved = Reserved()
    """What is kept back from guests."""
    overcommit: Overcommit = Overcommit()
    """How much more is promised than there is. The agent refuses a guest beyond it; it never evicts one."""
    scheduling: HostScheduling | None = None
    """What its Host says of guests to come."""
    order_keys: Annotated[list[OrderKey], Field(max_length=8), map_keys("id")] = Field(default_factory=list)
    """The keys that orders may be signed with."""
    certificate: Pem | None = None
    """The certificate of the host's own API, signed as its agent asked; none where somebody else gives it one."""


class HeldImage(ApiModel):
    """An image that lies on the host."""

    digest: Digest
    """The image's digest."""
    percent: Annotated[int, Field(ge=0, le=100)]
    """How much of it is there, in steps of 25."""


class HostAgentStatus(ApiModel):
    """The agent's report."""

    observed_generation: ObservedGeneration = -1
    """The generation that the agent has seen."""
    store_id: StoreId | None = None
    """The ID of its store."""
    agent_version: AgentVersion | None = None
    """Its version."""
    boot_id: Annotated[str, Field(max_length=64)] | None = None
    """The machine's boot ID."""
    address: HostPort | None = None
    """Where its agent answers the operator itself (`host:port`); none where it has no certificate for that."""
    hypervisor: Hypervisor | None = None
    """How guests run here: found out by running code."""
    driver: Annotated[str, Field(max_length=32)] | None = None
    """The driver that runs guests."""
    capacity: Amounts | None = None
    """What the machine has."""
    images: Annotated[list[HeldImage], Field(max_length=50), ATOMIC] = Field(default_factory=list)
    """The images that lie there, those used last first: a guest is rather placed where its image is."""
    certificate_request: Pem | None = None
    """While the agent wants a certificate for its own API: a PKCS #10 request that names this host and nothing else."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: the agent can run guests."""


class HostAgent(Kind):
    """The host's own orders and its report."""

    rules: ClassVar = (Rule("self.metadata.name == 'host'", "a HostAgent's name must be 'host'"),)
    definition: ClassVar = Definition(
        plural="hostagents",
        short_name="hag",
        scope="Namespaced",
        columns=(
            READY,
            Column("Hypervisor", ".status.hypervisor"),
            Column("Driver", ".status.driver"),
            Column("Version", ".status.agentVersion"),
            AGE,
        ),
    )

    spec: HostAgentSpec
    """The effective settings; written by the operator."""
    status: HostAgentStatus = HostAgentStatus()
    """The report; written by the host's agent."""
