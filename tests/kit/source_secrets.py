"""Secrets of image sources, and as much of an API server as the image server needs to read them."""

import base64
from dataclasses import dataclass, field
from typing import Any

from innkeeper.clock import Clock
from innkeeper.images.credentials import SECRET_TYPE, Credentials
from innkeeper.kube.errors import ApiError, NotFoundError
from innkeeper.kube.resources import SECRETS, Resource
from innkeeper.kube.views import Secret
from innkeeper.views.meta import Meta
from tests.kit.clock import ManualClock


def source_secret(
    name: str = "store", *, namespace: str = "team-a", kind: str = SECRET_TYPE, **values: str
) -> Secret:
    """Return a Secret as the API server keeps it."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return Secret(metadata=Meta(name=name, namespace=namespace), data=data, type=kind)


@dataclass
class PlayedSecrets:
    """Secrets by namespace and name. `reads` counts how often one was asked for."""

    objects: dict[tuple[str, str], Secret] = field(default_factory=dict)
    failure: ApiError | None = None
    reads: int = 0

    def put(self, secret: Secret) -> None:
        """Create or replace a Secret."""
        self.objects[secret.metadata.namespace, secret.metadata.name] = secret

    async def get(self, resource: Resource[Any], name: str, *, namespace: str | None = None) -> Any:
        """Return a Secret, and nothing else."""
        assert resource is SECRETS
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        found = self.objects.get((namespace or "", name))
        if found is None:
            raise NotFoundError(f"{name} not found")
        return found

    def credentials(self, clock: Clock | None = None) -> Credentials:
        """Return what the image server reads them with."""
        return Credentials(self, clock=clock or ManualClock())
