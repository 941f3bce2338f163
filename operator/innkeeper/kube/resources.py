"""Where each kind lives in the API, and the view that it is read as.

A resource is data: nothing here talks to anything.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from innkeeper.domain.names import GROUP, VERSION
from innkeeper.kube import views as core
from innkeeper.views.assignment import Assignment
from innkeeper.views.catalog import Cluster, Flavor, Image
from innkeeper.views.guest import Guest
from innkeeper.views.guestoperation import GuestOperation
from innkeeper.views.host import Host, HostAgent
from innkeeper.views.meta import View
from innkeeper.views.network import IPAddress, IPPool

V = TypeVar("V", bound=View)


@dataclass(frozen=True)
class Resource(Generic[V]):
    """One kind: its place in the API and its view. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    view: type[V]

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, *, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the URL path of a collection, an object, or a subresource; without a namespace, of all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part is not None]
        return "/".join(parts)


def _own(plural: str, view: type[V], *, namespaced: bool) -> Resource[V]:
    return Resource(GROUP, VERSION, plural, view.__name__, namespaced, view)


GUESTS = _own("guests", Guest, namespaced=True)
GUEST_OPERATIONS = _own("guestoperations", GuestOperation, namespaced=True)
IMAGES = _own("images", Image, namespaced=True)
ASSIGNMENTS = _own("assignments", Assignment, namespaced=True)
HOST_AGENTS = _own("hostagents", HostAgent, namespaced=True)
FLAVORS = _own("flavors", Flavor, namespaced=False)
HOSTS = _own("hosts", Host, namespaced=False)
CLUSTERS = _own("clusters", Cluster, namespaced=False)
IP_POOLS = _own("ippools", IPPool, namespaced=False)
IP_ADDRESSES = _own("ipaddresses", IPAddress, namespaced=False)

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False, core.Namespace)
SECRETS = Resource("", "v1", "secrets", "Secret", True, core.Secret)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", True, core.ConfigMap)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", True, core.Named)
EVENTS = Resource("", "v1", "events", "Event", True, core.Event)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", True, core.Lease)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", True, core.Role)
ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True, core.RoleBinding
)
CRDS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    False,
    core.CustomResourceDefinition,
)

TOKEN_REVIEWS_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path, not a secret
ACCESS_REVIEWS_PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
