"""IPAddress: one address, held by one guest or in quarantine.

The operator alone writes it. To create it is the lock on the address, so its name is made from the address.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.fields import DnsLabel, GuestId, ObjectName, Time, WrittenIp
from innkeeper.api.model import ApiModel, Column, Definition, Kind, Rule, immutable

_NEVER = "delete the IPAddress; the operator makes the one that it needs"


class AddressOwner(ApiModel):
    """The guest that holds an address."""

    id: GuestId
    """Its Guest ID."""
    namespace: DnsLabel
    """Its namespace."""
    name: ObjectName
    """Its name."""
    interface: Annotated[str, Field(max_length=15)]
    """The interface that the address is for."""
    since: Time | None = None
    """Since when the guest holds it. After a rebuild, and after an address in use was given back to its guest: since when
    its host promised to run the guest."""


class IPAddressSpec(ApiModel):
    """One claimed address."""

    rules: ClassVar = tuple(immutable(field, _NEVER) for field in ("pool", "addressSpace", "address"))

    pool: ObjectName
    """The IPPool that it is from."""
    address_space: DnsLabel
    """The address space of that pool."""
    address: WrittenIp
    """The address."""
    owner: AddressOwner | None = None
    """Who holds it; absent while it is in quarantine."""
    released_at: Time | None = None
    """Since when it is in quarantine."""


class IPAddress(Kind):
    """One address held by one guest."""

    rules: ClassVar = (
        Rule(
            "self.metadata.name == self.spec.addressSpace + '.' + self.spec.address || "
            "(isIP(self.spec.address) && ip(self.spec.address).family() == 6 && "
            "self.metadata.name.size() == self.spec.addressSpace.size() + 40 && "
            "self.metadata.name.startsWith(self.spec.addressSpace + '.') && "
            "isIP(self.metadata.name.substring(self.spec.addressSpace.size() + 1).replace('-', ':')) && "
            "ip(self.metadata.name.substring(self.spec.addressSpace.size() + 1).replace('-', ':')) "
            "== ip(self.spec.address))",
            "an IPAddress's name must be <address space>.<address>, IPv6 in full with - for :",
        ),
    )
    definition: ClassVar = Definition(
        plural="ipaddresses",
        short_name="ipa",
        scope="Cluster",
        columns=(
            Column("Address", ".spec.address"),
            Column("Pool", ".spec.pool"),
            Column("Namespace", ".spec.owner.namespace"),
            Column("Guest", ".spec.owner.name"),
            Column("Interface", ".spec.owner.interface"),
            Column("Since", ".spec.owner.since", "date"),
            Column("Released", ".spec.releasedAt", "date"),
            Column("Guest-Id", ".spec.owner.id", wide=True),
            Column("Age", ".metadata.creationTimestamp", "date", wide=True),
        ),
    )

    spec: IPAddressSpec
    """The address and who holds it."""
