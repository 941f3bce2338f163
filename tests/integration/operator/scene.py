"""What a guest needs before it can be asked for, and short ways to look at objects."""

from collections.abc import Awaitable, Callable
from typing import Any

from innkeeper.kube.client import Client
from innkeeper.kube.conditions import find
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import CLUSTERS, FLAVORS, GUESTS, HOSTS, IMAGES, IP_POOLS, Resource
from innkeeper.views.meta import View
from tests.kit.waiting import eventually

DIGEST = f"sha256:{'a' * 64}"


async def infrastructure(admin: Client, name: str) -> None:
    """Make a Cluster, an IPPool, a Flavor, an Image and a Host of that name."""
    await what_guests_name(admin, name)
    await admin.create(HOSTS, {"metadata": {"name": name}, "spec": {"cluster": name}})


async def what_guests_name(admin: Client, name: str) -> None:
    """Make a Cluster, an IPPool, a Flavor and an Image of that name."""
    meta = {"metadata": {"name": name}}
    await admin.create(CLUSTERS, {**meta, "spec": {"network": {"bridge": "br0"}}})
    pool = {"cidr": "192.0.2.0/24", "addressSpace": name, "clusters": [name], "quarantine": "1s"}
    await admin.create(IP_POOLS, {**meta, "spec": pool})
    await admin.create(FLAVORS, {**meta, "spec": {"cpu": "1", "memory": "1Gi", "disk": "2Gi"}})
    await image(admin, name)


async def image(admin: Client, name: str) -> None:
    """Make an Image."""
    spec = {"source": {"directory": {"path": "disk.raw"}}, "format": "raw", "digest": DIGEST}
    await admin.create(IMAGES, {"metadata": {"name": name}, "spec": spec}, namespace="default")


async def guest(admin: Client, name: str, *, of: str | None = None) -> None:
    """Ask for a guest on the infrastructure of that name."""
    of = of or name
    spec = {
        "flavor": of,
        "image": {"name": of},
        "interfaces": [{"pool": of}],
        "placement": {"cluster": of},
    }
    await admin.create(GUESTS, {"metadata": {"name": name}, "spec": spec}, namespace="default")


async def ready(
    admin: Client, resource: Resource[Any], name: str, *, reason: str, deadline_s: float = 30
) -> Any:
    """Wait until Ready has that reason; return the object."""
    namespace = "default" if resource.namespaced else None

    async def look() -> View:
        found: Any = await admin.get(resource, name, namespace=namespace)
        condition = find(found.status.conditions, "Ready")
        assert condition is not None, "no Ready yet"
        assert condition.reason == reason, f"{condition.reason}: {condition.message}"
        return found  # type: ignore[no-any-return] # any view

    return await eventually(look, deadline_s=deadline_s)


async def gone(admin: Client, resource: Resource[Any], name: str, *, namespace: str | None = None) -> None:
    """Wait until an object is no more."""

    async def look() -> bool:
        try:
            await admin.get(resource, name, namespace=namespace)
        except NotFoundError:
            return True
        return False

    await eventually(look, deadline_s=40)


async def there(check: Callable[[], Awaitable[bool]]) -> bool:
    """Take "not there" for "not yet"."""
    try:
        return await check()
    except NotFoundError:
        return False
