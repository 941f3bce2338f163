"""Statuses reach the API server once, guarded by the version that they were made from."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from innkeeper.clock import SystemClock
from innkeeper.kube.informer import Informer, Key
from innkeeper.kube.resources import IMAGES
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.views.catalog import Image
from tests.integration.kube.conftest import Api
from tests.integration.kube.test_client import image
from tests.kit.informing import informing
from tests.kit.waiting import eventually, one_turn


@asynccontextmanager
async def writing(
    api: Api, informer: Informer[Image], wanted: dict[Key, dict[str, Any]], **options: Any
) -> AsyncIterator[StatusWriter[Image]]:
    writer = StatusWriter(
        api.client,
        IMAGES,
        clock=SystemClock(),
        render=wanted.get,
        read=informer.objects.get,
        written=informer.assume,
        **options,
    )
    running = asyncio.create_task(writer.run())
    try:
        yield writer
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_many_wishes_become_one_write(api: Api) -> None:
    made = await api.client.create(IMAGES, image(), namespace=api.namespace)
    key, wanted = (api.namespace, "debian"), dict[Key, dict[str, Any]]()
    async with informing(api.client, IMAGES, namespace=api.namespace) as (informer, told):
        async with writing(api, informer, wanted, delay_s=0.2) as writer:
            for percent in range(50):
                wanted[key] = {"progress": f"{percent}%"}
                writer.touch(key)
            await eventually(lambda: informer.objects[key].status.progress == "49%")
        assert told.names() == ["+debian", "~debian"]
    read = await api.client.get(IMAGES, "debian", namespace=api.namespace)
    assert read.status.progress == "49%"
    assert read.metadata.generation == made.metadata.generation


async def test_what_is_there_already_is_not_written(api: Api) -> None:
    await api.client.create(IMAGES, image(), namespace=api.namespace)
    key = (api.namespace, "debian")
    wanted: dict[Key, dict[str, Any]] = {key: {"observedGeneration": 1, "progress": None}}
    async with informing(api.client, IMAGES, namespace=api.namespace) as (informer, _):
        async with writing(api, informer, wanted) as writer:
            writer.touch(key, urgent=True)
            await eventually(lambda: informer.objects[key].status.observed_generation == 1)
            version = informer.objects[key].metadata.resource_version
            await writer.write(key)
        assert (
            await api.client.get(IMAGES, "debian", namespace=api.namespace)
        ).metadata.resource_version == version


async def test_null_takes_a_field_away(api: Api) -> None:
    await api.client.create(IMAGES, image(), namespace=api.namespace)
    key, wanted = (api.namespace, "debian"), dict[Key, dict[str, Any]]()
    informed = informing(api.client, IMAGES, namespace=api.namespace)
    async with informed as (informer, _), writing(api, informer, wanted) as writer:
        for progress in ("37%", None):
            wanted[key] = {"progress": progress}
            await writer.write(key)
            read = await api.client.get(IMAGES, "debian", namespace=api.namespace)
            assert read.status.progress == progress


async def test_who_was_behind_renders_again_from_the_newest(api: Api) -> None:
    """Somebody wrote meanwhile: the first try is refused, nothing of theirs is lost, and ours comes after it."""
    await api.client.create(IMAGES, image(), namespace=api.namespace)
    key = (api.namespace, "debian")
    wanted: dict[Key, dict[str, Any]] = {key: {"progress": "37%"}}
    async with informing(api.client, IMAGES, namespace=api.namespace) as (informer, _):
        old = informer.objects[key]
        await api.client.patch(
            IMAGES, "debian", {"status": {"size": "7"}}, namespace=api.namespace, subresource="status"
        )
        await eventually(lambda: informer.objects[key].status.size == "7")
        newest, informer.objects[key] = informer.objects[key], old
        async with writing(api, informer, wanted) as writer:
            writer.touch(key, urgent=True)
            await one_turn()
            informer.objects[key] = newest
            await eventually(lambda: informer.objects[key].status.progress == "37%")
        read = await api.client.get(IMAGES, "debian", namespace=api.namespace)
        assert (read.status.progress, read.status.size) == ("37%", "7")


async def test_an_object_made_anew_never_gets_the_status_of_the_old_one(api: Api) -> None:
    old = await api.client.create(IMAGES, image(), namespace=api.namespace)
    key = (api.namespace, "debian")
    await api.client.delete(IMAGES, "debian", namespace=api.namespace)
    await api.client.create(IMAGES, image(), namespace=api.namespace)
    writer = StatusWriter(
        api.client,
        IMAGES,
        clock=SystemClock(),
        render=lambda _key: {"progress": "37%"},
        read={key: old}.get,
        delay_s=0.01,
    )
    running = asyncio.create_task(writer.run())
    writer.touch(key, urgent=True)
    await eventually(lambda: writer.refused >= 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await api.client.get(IMAGES, "debian", namespace=api.namespace)).status.progress is None
