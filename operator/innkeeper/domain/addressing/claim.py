"""The IPAddress that claims an address for a guest. Whether it can be had is decided by who creates it first."""

from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.views.assignment import AddressConflict
from innkeeper.views.network import AddressOwner, IPAddress


def claim_document(address: str, *, pool: str, space: str, owner: AddressOwner) -> dict[str, Any]:
    """Return the IPAddress to create.

    Raises:
        ValueError: `address` is none.
    """
    return {
        "metadata": {
            "name": names.address_name(space, address),
            "labels": {names.GUEST_ID_LABEL: owner.id, names.POOL_LABEL: pool},
            "finalizers": [names.ADDRESS_FINALIZER],
        },
        "spec": {
            "pool": pool,
            "addressSpace": space,
            "address": address,
            "owner": msgspec.to_builtins(owner),
        },
    }


def use_of(claim: IPAddress) -> tuple[str, str] | None:
    """Return interface and address: what a bound address is found by, since two interfaces may have the same address.

    None where nobody holds it.
    """
    owner = claim.spec.owner
    return None if owner is None else (owner.interface, claim.spec.address)


def is_meant(conflict: AddressConflict, interface: str, address: str) -> bool:
    """Tell whether a host found in use what an interface has; an earlier agent does not say which interface's it is."""
    return conflict.address == address and conflict.interface in (None, interface)


def is_held_by(claim: IPAddress, guest_id: str, *, interface: str | None = None) -> bool:
    """Tell whether an address is that guest's; with `interface`, whether it is that very interface's."""
    owner = claim.spec.owner
    return owner is not None and owner.id == guest_id and interface in (None, owner.interface)
