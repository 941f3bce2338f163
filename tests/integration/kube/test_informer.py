"""The informer holds what the API server holds, whatever the watch went through."""

import asyncio
from contextlib import AbstractAsyncContextManager

from innkeeper.kube.informer import Informer
from innkeeper.kube.resources import CONFIG_MAPS, IMAGES
from innkeeper.kube.views import ConfigMap
from tests.integration.kube.conftest import Api
from tests.integration.kube.test_client import image
from tests.kit.informing import Told, informing
from tests.kit.waiting import eventually


def selected(api: Api) -> AbstractAsyncContextManager[tuple[Informer[ConfigMap], Told[ConfigMap]]]:
    """Inform about the test's own objects: every namespace holds one of Kubernetes' own besides."""
    return informing(api.client, CONFIG_MAPS, namespace=api.namespace, label_selector="part")


async def make(api: Api, *names: str, **labels: str) -> None:
    for name in names:
        body = {"metadata": {"name": name, "labels": labels}}
        await api.client.create(CONFIG_MAPS, body, namespace=api.namespace)


async def test_what_was_there_is_told_before_it_is_synced(api: Api) -> None:
    await make(api, "a", "b", part="x")
    async with selected(api) as (
        informer,
        told,
    ):
        assert told.names() == ["+a", "+b"]
        assert set(informer.objects) == {(api.namespace, "a"), (api.namespace, "b")}
        assert informer.age_s() < 10


async def test_changes_are_told_in_order(api: Api) -> None:
    async with selected(api) as (informer, told):
        await make(api, "a", part="x")
        await api.client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, namespace=api.namespace)
        await api.client.delete(CONFIG_MAPS, "a", namespace=api.namespace)
        await make(api, "a", part="x")
        await eventually(lambda: told.names() == ["+a", "~a", "-a", "+a"])
        held = informer.objects[(api.namespace, "a")]
        assert held == await api.client.get(CONFIG_MAPS, "a", namespace=api.namespace)


async def test_an_object_that_leaves_the_selection_is_gone(api: Api) -> None:
    await make(api, "a", part="x")
    async with selected(api) as (_, told):
        change = {"metadata": {"labels": {"part": None}}}
        await api.client.patch(CONFIG_MAPS, "a", change, namespace=api.namespace)
        await eventually(lambda: told.names() == ["+a", "-a"])


async def test_two_namespaces_do_not_mix(api: Api) -> None:
    everywhere = informing(api.client, CONFIG_MAPS, label_selector="part=mine")
    elsewhere = informing(api.client, CONFIG_MAPS, namespace="default", label_selector="part")
    async with everywhere as (all_of_them, _), elsewhere as (others, _):
        await make(api, "a", part="mine")
        await eventually(lambda: (api.namespace, "a") in all_of_them.objects)
        assert (api.namespace, "a") not in others.objects


async def test_an_object_that_waits_for_its_finalizer_is_there_until_it_is_gone(api: Api) -> None:
    async with informing(api.client, IMAGES, namespace=api.namespace) as (informer, told):
        await api.client.create(IMAGES, image(finalizers=["innkeeper.dev/test"]), namespace=api.namespace)
        await api.client.delete(IMAGES, "debian", namespace=api.namespace)
        key = (api.namespace, "debian")
        await eventually(lambda: informer.objects[key].metadata.deletion_timestamp is not None)
        await api.client.patch(IMAGES, "debian", {"metadata": {"finalizers": None}}, namespace=api.namespace)
        await eventually(lambda: key not in informer.objects)
        assert told.names() == ["+debian", "~debian", "-debian"]


async def test_the_answer_to_a_write_may_come_before_or_after_the_watch(api: Api) -> None:
    await make(api, "a", part="x")
    async with selected(api) as (informer, told):
        answers = []
        for number in range(3):
            change = {"data": {"n": str(number)}}
            answer = await api.client.patch(CONFIG_MAPS, "a", change, namespace=api.namespace)
            informer.assume(answer)
            assert informer.objects[(api.namespace, "a")].data == {"n": str(number)}
            answers.append(answer)
        await api.client.delete(CONFIG_MAPS, "a", namespace=api.namespace)
        await eventually(lambda: not informer.objects)
        for late in answers:
            informer.assume(late)
        assert not informer.objects, "a late answer brought back what was deleted"
        assert told.names() == ["+a", "~a", "~a", "~a", "-a"]


async def test_many_writers_at_once(api: Api) -> None:

    async def live(name: str) -> None:
        await make(api, name, part="x")
        for number in range(3):
            await api.client.patch(CONFIG_MAPS, name, {"data": {"n": str(number)}}, namespace=api.namespace)
        if name.endswith("0"):
            await api.client.delete(CONFIG_MAPS, name, namespace=api.namespace)

    async with selected(api) as (informer, _):
        await asyncio.gather(*(live(f"c{number:02}") for number in range(20)))
        listing = await api.client.list(CONFIG_MAPS, namespace=api.namespace, label_selector="part")
        wanted = {each.metadata.name: each for each in listing.items}
        await eventually(lambda: {key[1]: each for key, each in informer.objects.items()} == wanted)
