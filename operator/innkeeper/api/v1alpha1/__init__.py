"""Version v1alpha1 of the API: one file for each kind.

`KINDS` lists them in the order of the reference.
"""

from innkeeper.api.model import Kind
from innkeeper.api.v1alpha1.assignment import Assignment
from innkeeper.api.v1alpha1.cluster import Cluster
from innkeeper.api.v1alpha1.flavor import Flavor
from innkeeper.api.v1alpha1.guest import Guest
from innkeeper.api.v1alpha1.guestoperation import GuestOperation
from innkeeper.api.v1alpha1.host import Host
from innkeeper.api.v1alpha1.hostagent import HostAgent
from innkeeper.api.v1alpha1.image import Image
from innkeeper.api.v1alpha1.ipaddress import IPAddress
from innkeeper.api.v1alpha1.ippool import IPPool

KINDS: tuple[type[Kind], ...] = (
    Guest,
    GuestOperation,
    Image,
    Flavor,
    Host,
    Cluster,
    IPPool,
    IPAddress,
    Assignment,
    HostAgent,
)

__all__ = [
    "KINDS",
    "Assignment",
    "Cluster",
    "Flavor",
    "Guest",
    "GuestOperation",
    "Host",
    "HostAgent",
    "IPAddress",
    "IPPool",
    "Image",
]
