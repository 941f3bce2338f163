"""What every object has: metadata and conditions.

Times stay RFC 3339 strings as the API server sent them: most are only compared or copied.
"""

import msgspec


class View(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Settings that all views share: immutable, camelCase on the wire, unknown fields ignored.

    Python's collector leaves them alone: what was read from JSON and never changes has no cycles.
    """


class Meta(View, frozen=True, kw_only=True):
    """The part of `metadata` that is used."""

    name: str
    uid: str = ""
    namespace: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None


class Condition(View, frozen=True, kw_only=True):
    """`metav1.Condition`, field for field."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: str = ""


class NamespacedName(View, frozen=True, kw_only=True):
    """A reference to a namespaced object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Resources(View, frozen=True, kw_only=True):
    """Amounts as Kubernetes quantities (`500m`, `8Gi`)."""

    cpu: str
    memory: str
    disk: str
