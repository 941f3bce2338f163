"""How the owner of a guest is told who has what it asks for: by name in its own namespace, without one elsewhere.

Whoever may create guests could else try address after address and learn what others run. An admin sees the holder in the
object that the message names. Pure.
"""

from innkeeper.domain.names import address_name


def holder_of_address(address: str, *, space: str, namespace: str, name: str, told_to: str) -> str:
    """Return who holds an address of an address space, as the owners of guests of a namespace are told."""
    if namespace == told_to:
        return f"the Guest {namespace}/{name}"
    claim = address_name(space, address)
    return f"a guest of another namespace (an admin sees which: kubectl get ipaddresses.innkeeper.dev {claim} -o yaml)"


def reserved_for(address: str, *, pool: str, owner: str, reason: str, told_to: str) -> str:
    """Return for whom an address is kept, and why; `owner` is `namespace/name` where it is a guest."""
    if owner.startswith(f"{told_to}/"):
        return f"{address} is reserved for {owner}: {reason}"
    return f"{address} is reserved for somebody else: ask for another one (an admin sees for whom in the IPPool {pool!r})"


def holder_of_mac(mac: str, *, cluster: str, namespace: str, name: str, told_to: str) -> str:
    """Return whose MAC it is in a cluster, as the owners of guests of a namespace are told."""
    whose = f"the Guest {namespace}/{name}" if namespace == told_to else "a guest of another namespace"
    return f"the MAC {mac} belongs to {whose} in the cluster {cluster!r}: ask for another one"
