"""Create-if-absent: who creates an object first has made it, and everybody else finds that one."""

from collections.abc import Mapping
from typing import Any, TypeVar

from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)


async def create_or_get(
    client: Client, resource: Resource[V], body: Mapping[str, Any], *, namespace: str | None = None
) -> V:
    """Create an object, or return the one of its name that is there; whose it is, is the caller's to look at.

    Raises:
        ApiError: NotFoundError where the namespace is not there, or the object went between the two calls.
    """
    try:
        return await client.create(resource, body, namespace=namespace)
    except AlreadyExistsError:
        return await client.get(resource, body["metadata"]["name"], namespace=namespace)
