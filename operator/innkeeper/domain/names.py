"""Names that several parts must agree on: group, labels, annotations, finalizers, namespaces, URNs.

They are part of the API: to change one is a migration.
"""

import hashlib
import ipaddress

GROUP = "innkeeper.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

GUEST_FINALIZER = "innkeeper.dev/guest"
ADDRESS_FINALIZER = "innkeeper.dev/address"
HOST_FINALIZER = "innkeeper.dev/host"

ID_ANNOTATION = "innkeeper.dev/id"
REVIVED_FROM_ANNOTATION = "innkeeper.dev/revived-from"  # the host whose order a Guest was made anew from
DESTROYED_ANNOTATION = (
    "innkeeper.dev/destroyed"  # EPOCH.SERIAL of the order that ended the guest: it is not built again
)
# EPOCH.SERIAL/WHO AND WHEN, beside the former: nobody ordered that end, a person at the host took the guest off it.
FORGOTTEN_ANNOTATION = "innkeeper.dev/forgotten"
# UID/EPOCH.SERIAL, its own UID and the order that a Guest from an older copy of the store was brought to.
CAUGHT_UP_ANNOTATION = "innkeeper.dev/caught-up-with"
FORCE_DELETE_ANNOTATION = "innkeeper.dev/force-delete"
REMOVE_ORPHAN_ANNOTATION = (
    "innkeeper.dev/remove-orphan"  # of an Assignment: a person's word, for the order of that rank
)
HELD_BY_HOST_ANNOTATION = (
    "innkeeper.dev/held-by-host"  # of an IPAddress that a host may use, whatever became of the Guest
)

# By one of these Argo CD knows its own, and prunes what its repository does not name.
ARGO_TRACKING_ANNOTATION = "argocd.argoproj.io/tracking-id"
ARGO_INSTANCE_LABEL = "app.kubernetes.io/instance"

GUEST_ID_LABEL = "innkeeper.dev/guest-id"
POOL_LABEL = "innkeeper.dev/pool"
HOST_LABEL = "innkeeper.dev/host"
REBUILT_LABEL = "innkeeper.dev/rebuilt"  # of a namespace that was made anew for the guests in it

SYSTEM_NAMESPACE = "innkeeper-system"
AGENT_SERVICE_ACCOUNT = "agent"
AGENT_JOIN_SECRET = "agent-join"  # noqa: S105 - a name; every token of a joined host is bound to it and ends with it
OPERATOR_COMMON_NAME = "innkeeper-operator"  # of the certificate that it shows to hosts
HOST_AGENT_NAME = "host"
HEARTBEAT_LEASE = "heartbeat"
USER_DATA_KEY = "userData"

MAX_HOST_NAME = 58  # `host-` and the name make one DNS label of at most 63 characters
MAX_USER_DATA_BYTES = 64 * 1024


def host_namespace(host: str) -> str:
    """Return the namespace that is the queue of `host`."""
    return f"host-{host}"


def host_of_namespace(namespace: str) -> str | None:
    """Return the host whose queue `namespace` is, or None where it is none."""
    return namespace.removeprefix("host-") if namespace.startswith("host-") else None


def urn(guest_id: str) -> str:
    """Return the URN of a guest, which exists from the moment its object does."""
    return f"urn:innkeeper:guest:{guest_id}"


def user_data_secret(guest_id: str) -> str:
    """Return the name of the Secret beside the Assignment that carries a guest's user data."""
    return f"user-data-{guest_id}"


def address_name(space: str, address: str) -> str:
    """Return the name of the IPAddress object of `address`: full hex form and `-` for `:` in IPv6."""
    parsed = ipaddress.ip_address(address)
    return f"{space}.{parsed.exploded.replace(':', '-')}"


def mac_of(guest_id: str, interface: str) -> str:
    """Return the MAC of an interface: locally administered, unicast, from a hash of Guest ID and interface."""
    digest = hashlib.sha256(f"mac\0{guest_id}\0{interface}".encode()).digest()
    return f"02:{digest[:5].hex(':')}"
