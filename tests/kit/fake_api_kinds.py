"""The kinds that the fake API server serves: Kubernetes' own that Innkeeper uses, and Innkeeper's from `crds/`.

From a CRD it takes the scope, whether status is a subresource, the defaults, and which fields are known; it checks
neither types nor rules. What the API refuses is tested on a real API server.
"""

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).resolve().parents[2] / "crds"

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind: where it lives and how it behaves."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    has_status: bool = False  # status is written through its subresource alone
    has_generation: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The name that messages use: `guests.innkeeper.dev`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def admitted(self, body: Document) -> Document:
        """Return an object with the schema's defaults and without the fields that it does not know."""
        return _fitted(copy.deepcopy(body), self.schema, top=True) if self.schema else body


_RBAC = "rbac.authorization.k8s.io"

CORE = [
    Kind(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False, has_status=True),
    Kind(group="", version="v1", plural="secrets", kind="Secret", namespaced=True),
    Kind(group="", version="v1", plural="configmaps", kind="ConfigMap", namespaced=True),
    Kind(group="", version="v1", plural="serviceaccounts", kind="ServiceAccount", namespaced=True),
    Kind(group="", version="v1", plural="events", kind="Event", namespaced=True),
    Kind(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease", namespaced=True),
    Kind(group=_RBAC, version="v1", plural="roles", kind="Role", namespaced=True),
    Kind(group=_RBAC, version="v1", plural="rolebindings", kind="RoleBinding", namespaced=True),
    Kind(group=_RBAC, version="v1", plural="clusterroles", kind="ClusterRole", namespaced=False),
    Kind(
        group=_RBAC, version="v1", plural="clusterrolebindings", kind="ClusterRoleBinding", namespaced=False
    ),
    Kind(
        group="apiextensions.k8s.io",
        version="v1",
        plural="customresourcedefinitions",
        kind="CustomResourceDefinition",
        namespaced=False,
        has_status=True,
        has_generation=True,
    ),
]


@functools.cache
def own_kinds() -> tuple[Kind, ...]:
    """Return Innkeeper's kinds, as the generated CRDs have them."""
    return tuple(_kind(document) for document in crds())


@functools.cache
def crds() -> tuple[Document, ...]:
    """Return the generated CRDs."""
    # The C loader: the Python one takes a second for all of them.
    return tuple(yaml.load(path.read_text(), Loader=yaml.CSafeLoader) for path in sorted(CRDS.glob("*.yaml")))


def _kind(crd: Document) -> Kind:
    spec = crd["spec"]
    version = next(each for each in spec["versions"] if each["storage"])
    return Kind(
        group=spec["group"],
        version=version["name"],
        plural=spec["names"]["plural"],
        kind=spec["names"]["kind"],
        namespaced=spec["scope"] == "Namespaced",
        has_status="status" in version.get("subresources", {}),
        has_generation=True,
        schema=version["schema"]["openAPIV3Schema"],
    )


def _fitted(value: Any, schema: Mapping[str, Any], *, top: bool = False) -> Any:
    """Prune and default in place, as structural schemas do."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, child in list(_known(value, schema, top=top)):
            value[name] = _fitted(value[name], child)
        for name, child in properties.items():
            if name not in value and "default" in child:
                value[name] = _fitted(copy.deepcopy(child["default"]), child)
    elif isinstance(value, list) and "items" in schema:
        return [_fitted(each, schema["items"]) for each in value]
    return value


def _known(
    value: Document, schema: Mapping[str, Any], *, top: bool
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the fields that the schema knows, with their schemas; remove the others."""
    properties, additional = schema.get("properties"), schema.get("additionalProperties")
    for name in list(value):
        if top and name in ("apiVersion", "kind", "metadata"):
            continue
        if properties and name in properties:
            yield name, properties[name]
        elif isinstance(additional, dict):
            yield name, additional
        elif properties is not None and not schema.get("x-kubernetes-preserve-unknown-fields"):
            del value[name]
