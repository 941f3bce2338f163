"""Read models of Kubernetes' own kinds, as far as they are used."""

from typing import Any

from innkeeper.views.meta import Condition, Meta, View


class Named(View, frozen=True, kw_only=True):
    """An object of which only the metadata matters."""

    metadata: Meta


class NamespaceStatus(View, frozen=True, kw_only=True):
    """Where a namespace is in its life."""

    phase: str = "Active"


class Namespace(View, frozen=True, kw_only=True):
    """A namespace."""

    metadata: Meta
    status: NamespaceStatus = NamespaceStatus()


class Secret(View, frozen=True, kw_only=True):
    """A Secret; values are base64."""

    metadata: Meta
    data: dict[str, str] = {}
    type: str = "Opaque"


class ConfigMap(View, frozen=True, kw_only=True):
    """A ConfigMap."""

    metadata: Meta
    data: dict[str, str] = {}


class Event(View, frozen=True, kw_only=True):
    """An Event; of one that is there only the count matters."""

    metadata: Meta
    count: int = 1


class LeaseSpec(View, frozen=True, kw_only=True):
    """Who holds a Lease and when they said so last; `renewTime` is a MicroTime."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(View, frozen=True, kw_only=True):
    """A Lease: leadership, or a heartbeat."""

    metadata: Meta
    spec: LeaseSpec = LeaseSpec()


class Role(View, frozen=True, kw_only=True):
    """What an identity may do in one namespace."""

    metadata: Meta
    rules: list[dict[str, Any]] = []


class RoleBinding(View, frozen=True, kw_only=True):
    """Who has a Role."""

    metadata: Meta
    role_ref: dict[str, Any] = {}
    subjects: list[dict[str, Any]] = []


class CrdStatus(View, frozen=True, kw_only=True):
    """Whether the kind is served."""

    conditions: list[Condition] | None = None  # the API server sends null before it has any


class CustomResourceDefinition(View, frozen=True, kw_only=True):
    """A CRD, of which only its life matters."""

    metadata: Meta
    status: CrdStatus = CrdStatus()


class Document(View, frozen=True, kw_only=True):
    """An object whose content is opaque here."""

    metadata: Meta
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}
