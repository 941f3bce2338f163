"""Types of fields that several kinds share: names, amounts, addresses, conditions.

Each string has a greatest length and each list a greatest size: the API server bounds the cost of CEL rules by them.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from innkeeper.api.model import ApiModel, Rule, map_keys, string_format
from innkeeper.domain.images import digests

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_VALUE = "([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=f"^{_LABEL}$")]
HostName = Annotated[str, Field(min_length=1, max_length=58, pattern=f"^{_LABEL}$")]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
GuestId = Annotated[str, Field(min_length=1, max_length=63, pattern=f"^{_LABEL}$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=f"^{_LABEL_VALUE}$")]
Digest = Annotated[str, Field(max_length=digests.MAX_LENGTH, pattern=f"^({digests.PATTERN})$")]
DigestOrNone = Annotated[str, Field(max_length=digests.MAX_LENGTH, pattern=f"^({digests.PATTERN})?$")]
MacAddress = Annotated[str, Field(max_length=17, pattern="^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
# Machines and routers have MACs that a maker gave them: a guest can never have one of those. libvirt keeps those that
# begin with fe for the host's end of a guest's port.
_LOCAL_MAC = (
    "take a MAC that is unicast and locally administered: its second digit is 2, 6, a or e, as in 02:00:00:00:00:07; "
    "none that begins with fe"
)


def _is_local(mac: str) -> str:
    """Check what the rule says: dry runs read the model, and rules are the API server's."""
    if mac[1] not in "26ae" or mac.startswith("fe"):
        raise ValueError(_LOCAL_MAC)
    return mac


LocalMac = Annotated[
    MacAddress,
    AfterValidator(_is_local),
    Rule("self.matches('^.[26ae]') && !self.startsWith('fe')", _LOCAL_MAC),
]
IpAddress = Annotated[
    str,
    Field(min_length=2, max_length=39),
    Rule("isIP(self)", "write an IP address: 192.0.2.7, or 2001:db8::7"),
]
# Of what only the operator writes: rules are evaluated at every write, patterns cost next to nothing.
WrittenIp = Annotated[str, Field(min_length=2, max_length=39, pattern="^[0-9a-f.:]+$")]
DomainName = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
Time = Annotated[str, Field(max_length=40), string_format("date-time")]

CPU_PATTERN = r"^([0-9]{1,9}m|[0-9]{1,7}(\.[0-9]{1,3})?)$"
BYTES_PATTERN = r"^[0-9]{1,19}(\.[0-9]{1,9})?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
CpuAmount = Annotated[str, Field(min_length=1, max_length=16, pattern=CPU_PATTERN)]
BytesAmount = Annotated[str, Field(min_length=1, max_length=32, pattern=BYTES_PATTERN)]
# Orders carry bytes as 64-bit integers.
BytesWanted = Annotated[
    BytesAmount,
    Rule(
        f"!self.matches(r'{BYTES_PATTERN}') || quantity(self).compareTo(quantity('1Ei')) <= 0",
        "an amount of bytes must be at most 1Ei",
    ),
]


def _more_than_none(of: str, example: str) -> Rule:
    return Rule(
        f"!self.matches(r'{CPU_PATTERN if of == 'cpu' else BYTES_PATTERN}') || "
        "quantity(self).isGreaterThan(quantity('0'))",
        f"{of} must be more than 0, for example '{example}'",
    )


class Resources(ApiModel):
    """What a guest gets, as Kubernetes quantities. Write them as strings: `'2'`, `500m`, `8Gi`."""

    cpu: Annotated[CpuAmount, _more_than_none("cpu", "500m")]
    """CPUs, as `'2'` or `500m` (thousandths)."""
    memory: Annotated[BytesWanted, _more_than_none("memory", "2Gi")]
    """Memory in bytes, as `2Gi`."""
    disk: Annotated[BytesWanted, _more_than_none("disk", "10Gi")]
    """Size of the disk in bytes, as `10Gi`."""


class Amounts(ApiModel):
    """Amounts that were counted, as Kubernetes quantities."""

    cpu: CpuAmount
    """CPUs."""
    memory: BytesAmount
    """Memory in bytes."""
    disk: BytesAmount
    """Disk in bytes."""


class NamespacedName(ApiModel):
    """A reference to a namespaced object."""

    namespace: DnsLabel
    """Its namespace."""
    name: ObjectName
    """Its name."""


class Condition(ApiModel):
    """One aspect of the current state, exactly `metav1.Condition`."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    """CamelCase name of the aspect."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    """CamelCase reason, stable: scripts and alerts match on it."""
    message: Annotated[str, Field(max_length=32768)]
    """For people: what is so, and what to do about it."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation that this condition was made from."""
    last_transition_time: Time
    """When the status last changed."""


Conditions = Annotated[list[Condition], Field(max_length=16), map_keys("type")]
ObservedGeneration = Annotated[int, Field(ge=-1)]
Counter = Annotated[int, Field(ge=0)]
