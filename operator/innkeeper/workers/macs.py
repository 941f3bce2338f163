"""The MACs of a guest, and who has them: in one cluster a MAC belongs to one guest.

Reads the subset only, which knows who is bound; who is just being bound is kept by the network worker.
"""

from collections import defaultdict
from collections.abc import Mapping

from innkeeper.domain import names
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.holder import holder_of_mac
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest


def macs_of(guest: Guest) -> dict[str, str]:
    """Return the MAC of each interface: the one that is asked for, else one made from the Guest ID."""
    guest_id = guest_id_of(guest)
    return {each.name: each.mac or names.mac_of(guest_id, each.name) for each in guest.spec.interfaces}


def mac_conflict(subset: Subset, guest: Guest, *, cluster: str) -> Blocked | None:
    """Return why a guest cannot have its MACs in a cluster, or None; who is just being bound there is not seen."""
    macs = macs_of(guest)
    problem = _one_mac_twice(macs)
    for mac in sorted(macs.values()) if problem is None else ():
        for other in subset.guests_of_mac(mac, other_than=guest_id_of(guest)):
            if other.status.cluster == cluster:
                return in_use(mac, cluster, other, told_to=guest.metadata.namespace)
    return problem


def macs_in_use(subset: Subset, guest: Guest) -> dict[str, frozenset[str]]:
    """Return the clusters where other guests are bound to MACs of this one, each with those MACs; mostly none."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for mac in macs_of(guest).values():
        for other in subset.guests_of_mac(mac, other_than=guest_id_of(guest)):
            if other.status.cluster is not None:
                found[other.status.cluster].add(mac)
    return {cluster: frozenset(macs) for cluster, macs in found.items()}


def _one_mac_twice(macs: Mapping[str, str]) -> Blocked | None:
    """Tell of two interfaces with one MAC, of which one may be made from the Guest ID."""
    first: dict[str, str] = {}
    for interface, mac in macs.items():
        other = first.setdefault(mac, interface)
        if other != interface:
            message = (
                f"the interfaces {other} and {interface} have the same MAC {mac}: create the Guest again with another "
                "one for one of them"
            )
            return Blocked(
                step=ConditionType.ADDRESSES_ASSIGNED, reason=GuestReason.MAC_IN_USE, message=message
            )
    return None


def in_use(mac: str, cluster: str, other: Guest, *, told_to: str) -> Blocked:
    """Return that a guest of the namespace `told_to` waits for a MAC which another one has in a cluster."""
    namespace, name = other.metadata.namespace, other.metadata.name
    return Blocked(
        step=ConditionType.ADDRESSES_ASSIGNED,
        reason=GuestReason.MAC_IN_USE,
        message=holder_of_mac(mac, cluster=cluster, namespace=namespace, name=name, told_to=told_to),
        causes=(waiting.mac(cluster, mac),),
    )
