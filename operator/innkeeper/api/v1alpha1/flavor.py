"""Flavor: a named size of guests.

Admins write it. It has no status, and it never changes: the size of a guest is fixed when the guest is bound.
"""

from typing import ClassVar

from innkeeper.api.fields import Resources
from innkeeper.api.model import AGE, Column, Definition, Kind, immutable

_ANOTHER = "create another Flavor under another name"


class FlavorSpec(Resources):
    """The size, as Kubernetes quantities. Write them as strings: `'2'`, `500m`, `8Gi`."""

    rules: ClassVar = tuple(immutable(field, _ANOTHER) for field in ("cpu", "memory", "disk"))


class Flavor(Kind):
    """A named size: cpu, memory, disk."""

    definition: ClassVar = Definition(
        plural="flavors",
        short_name="flv",
        scope="Cluster",
        columns=(
            Column("CPU", ".spec.cpu"),
            Column("Memory", ".spec.memory"),
            Column("Disk", ".spec.disk"),
            AGE,
        ),
    )

    spec: FlavorSpec
    """The size."""
