"""The handlers: each passes an object on to its worker, and asks kopf to come again when the worker wants that.

They run in kopf's own event loop; the workers live in the operator's. `Home` is the bridge between the two.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import kopf

from innkeeper.domain.names import GROUP, VERSION
from innkeeper.errors import InnkeeperError
from innkeeper.kube.credentials import Credentials
from innkeeper.workers.rare.clusters import Clusters
from innkeeper.workers.rare.flavors import check_flavor
from innkeeper.workers.rare.images import Images
from innkeeper.workers.rare.pools import Pools

T = TypeVar("T")

LOGIN_LIVES = timedelta(minutes=5)  # tokens in files are renewed under us
ERROR_PAUSE_S = 5.0


@dataclass(frozen=True)
class RareKinds:
    """The workers behind the handlers."""

    images: Images
    pools: Pools
    clusters: Clusters


class Home:
    """Runs coroutines in the operator's event loop for code in another one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`; trouble that may pass becomes kopf's word for it."""
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        except InnkeeperError as error:
            raise kopf.TemporaryError(error.message, delay=ERROR_PAUSE_S) from error


def registry(
    rare: RareKinds, *, home: Home, credentials: Credentials, recheck_s: float, random: Random
) -> kopf.OperatorRegistry:
    """Return the handlers of all rare kinds. Ready images are looked at every `recheck_s`, each at a time of its own."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(credentials)

    _look_after_images(handlers, rare.images, home=home, recheck_s=recheck_s, random=random)

    @kopf.on.create(GROUP, VERSION, "ippools", id="pool", registry=handlers)
    async def pool(name: str, **_: Any) -> None:
        await home.run(rare.pools.check(name))

    @kopf.on.delete(GROUP, VERSION, "ippools", id="pool-in-use", registry=handlers)
    async def pool_in_use(name: str, **_: Any) -> None:
        pause = await home.run(rare.pools.let_go(name))
        if pause is not None:
            raise kopf.TemporaryError("guests hold addresses of the pool", delay=pause)

    @kopf.on.create(GROUP, VERSION, "clusters", id="cluster", registry=handlers)
    async def cluster(name: str, **_: Any) -> None:
        await home.run(rare.clusters.check(name))

    @kopf.on.event(GROUP, VERSION, "flavors", registry=handlers)
    async def flavor(body: kopf.Body, **_: Any) -> None:
        check_flavor(body)

    return handlers


def _look_after_images(
    handlers: kopf.OperatorRegistry, images: Images, *, home: Home, recheck_s: float, random: Random
) -> None:
    @kopf.on.create(GROUP, VERSION, "images", id="image", registry=handlers)
    async def image(namespace: str | None, name: str, retry: int, **_: Any) -> None:
        pause = await home.run(images.check(namespace or "", name, attempt=retry))
        if pause is not None:
            raise kopf.TemporaryError("the image is not Ready yet", delay=pause)

    @kopf.timer(
        GROUP,
        VERSION,
        "images",
        id="image-source",
        interval=recheck_s,
        initial_delay=lambda **_: random.uniform(0, recheck_s),
        registry=handlers,
    )
    async def image_source(namespace: str | None, name: str, **_: Any) -> None:
        pause = await home.run(images.look_again(namespace or "", name))
        if pause is not None:
            raise kopf.TemporaryError("the source could not be looked at", delay=min(pause, recheck_s))

    @kopf.on.delete(GROUP, VERSION, "images", id="image-in-use", registry=handlers)
    async def image_in_use(namespace: str | None, name: str, **_: Any) -> None:
        pause = await home.run(images.let_go(namespace or "", name))
        if pause is not None:
            raise kopf.TemporaryError("guests are bound to the image", delay=pause)


def connection(credentials: Credentials) -> kopf.ConnectionInfo:
    """Return our credentials as kopf wants them; short-lived, so that a renewed token is taken up."""
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_data=credentials.ca_data,
        token=credentials.bearer(),
        certificate_data=credentials.client_certificate,
        private_key_data=credentials.client_key,
        expiration=datetime.now(UTC) + LOGIN_LIVES,
    )
