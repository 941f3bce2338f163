"""A store that is put back to an older copy beneath hosts that go on: what tests of it do and ask."""

from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager

from innkeeper.clock import SystemClock
from innkeeper.kube.client import Client
from innkeeper.workers.rebuild.hearing import Hearing
from innkeeper.workers.rebuild.rebuild import Outcome, Rebuild
from tests.kit.guest_scene import SIGNER, GuestScene, Operator, guest_scene
from tests.kit.host_stores import ObedientStore

KEYS = {SIGNER.key_id: SIGNER.public_key}


@asynccontextmanager
async def furnished() -> AsyncIterator[GuestScene]:
    """Give flavor, image, pool and one host; each test starts its operators."""
    async with guest_scene() as made:
        made.furnish()
        yield made


async def restore(scene: GuestScene, backup: object) -> None:
    """End the operator, and put the store back."""
    for operator in scene.operators:
        await operator.kill()
    scene.operators.clear()
    scene.api.store.put_back(backup)  # type: ignore[arg-type] # what `backup` gave


async def hear(scene: GuestScene, *, user: str = "healer", unheard: Container[str] = ()) -> Outcome:
    """Hear the hosts, but those that nobody knows how to reach, and make what is missing."""
    stores = {name: ObedientStore(host, cluster="lab") for name, host in scene.hosts.items()}

    def reader(host: str) -> ObedientStore | None:
        return None if host in unheard else stores[host]

    async with Client(scene.api.credentials(user)) as client:
        hearing = Hearing(reader, keys=KEYS, clock=SystemClock())
        return await Rebuild(client, hearing, clock=SystemClock()).run(stores)


async def put_back(scene: GuestScene, backup: object) -> Outcome:
    """Put the store back, hear the hosts, and start an operator that remembers nothing."""
    await restore(scene, backup)
    outcome = await hear(scene)
    await scene.operator()
    return outcome


async def sweep(operator: Operator, *, times: int = 5) -> None:
    """Have an operator look at all addresses more often than it takes."""
    for _ in range(times):
        await operator.sweeper.sweep()


def running(scene: GuestScene) -> dict[str, list[str]]:
    """Return on which hosts each guest runs, and so how often."""
    found: dict[str, list[str]] = {}
    for name, host in scene.hosts.items():
        for each in host.running:
            found.setdefault(each, []).append(name)
    return found
