"""The client does on the fake what it does on a real API server: reads, guarded writes, refusals, watches."""

import asyncio
from typing import Any

import pytest

from innkeeper.kube import errors
from innkeeper.kube.answers import WatchEvent
from innkeeper.kube.resources import (
    CONFIG_MAPS,
    IMAGES,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    TOKEN_REVIEWS_PATH,
)
from innkeeper.kube.views import ConfigMap
from tests.integration.kube.conftest import Api
from tests.kit.waiting import eventually

DIGEST = "sha256:" + "0" * 64


def image(name: str = "debian", **metadata: Any) -> dict[str, Any]:
    spec = {"source": {"http": {"url": "https://images.test/debian.raw"}}, "format": "raw", "digest": DIGEST}
    return {"metadata": {"name": name, **metadata}, "spec": spec}


async def config_maps(api: Api, count: int, **labels: str) -> None:
    for number in range(count):
        metadata = {"name": f"c{number:03}", "labels": labels}
        await api.client.create(CONFIG_MAPS, {"metadata": metadata}, namespace=api.namespace)


async def test_a_created_object_is_read_back(api: Api) -> None:
    made = await api.client.create(
        CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, namespace=api.namespace
    )
    read = await api.client.get(CONFIG_MAPS, "a", namespace=api.namespace)
    assert read == made
    assert read.data == {"x": "1"}
    assert read.metadata.uid
    assert int(read.metadata.resource_version) > 0


async def test_a_taken_name_is_told_from_a_conflict(api: Api) -> None:
    await api.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace=api.namespace)
    with pytest.raises(errors.AlreadyExistsError) as refusal:
        await api.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace=api.namespace)
    assert refusal.value.status == 409
    assert "already exists" in refusal.value.message


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    with pytest.raises(errors.NotFoundError, match='configmaps "ghost" not found'):
        await api.client.get(CONFIG_MAPS, "ghost", namespace=api.namespace)
    with pytest.raises(errors.NotFoundError):
        await api.client.patch(CONFIG_MAPS, "ghost", {"data": {}}, namespace=api.namespace)
    with pytest.raises(errors.NotFoundError):
        await api.client.delete(CONFIG_MAPS, "ghost", namespace=api.namespace)
    with pytest.raises(errors.NotFoundError):
        await api.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace=f"{api.namespace}-ghost")


async def test_a_patch_merges_and_null_removes(api: Api) -> None:
    data = {"keep": "1", "change": "1", "drop": "1"}
    await api.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": data}, namespace=api.namespace)
    change = {"data": {"change": "2", "drop": None}}
    patched = await api.client.patch(CONFIG_MAPS, "a", change, namespace=api.namespace)
    assert patched.data == {"keep": "1", "change": "2"}


async def test_a_patch_that_changes_nothing_makes_no_version(api: Api) -> None:
    body = {"metadata": {"name": "a"}, "data": {"x": "1"}}
    made = await api.client.create(CONFIG_MAPS, body, namespace=api.namespace)
    patched = await api.client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, namespace=api.namespace)
    assert patched.metadata.resource_version == made.metadata.resource_version


@pytest.mark.parametrize("guard", ["resource_version", "uid"])
async def test_a_patch_obeys_its_guards(api: Api, guard: str) -> None:
    made = await api.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace=api.namespace)
    right = {"resource_version": made.metadata.resource_version, "uid": made.metadata.uid}
    changed = await api.client.patch(CONFIG_MAPS, "a", {"data": {"n": "1"}}, namespace=api.namespace, **right)
    wrong = {
        "resource_version": made.metadata.resource_version,
        "uid": "00000000-0000-4000-8000-000000000000",
    }
    with pytest.raises(errors.ConflictError):
        await api.client.patch(
            CONFIG_MAPS, "a", {"data": {"n": "2"}}, namespace=api.namespace, **{guard: wrong[guard]}
        )
    assert (await api.client.get(CONFIG_MAPS, "a", namespace=api.namespace)) == changed


@pytest.mark.parametrize("guard", ["resource_version", "uid"])
async def test_a_deletion_obeys_its_preconditions(api: Api, guard: str) -> None:
    made = await api.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace=api.namespace)
    wrong = {"resource_version": "1", "uid": "00000000-0000-4000-8000-000000000000"}
    with pytest.raises(errors.ConflictError):
        await api.client.delete(CONFIG_MAPS, "a", namespace=api.namespace, **{guard: wrong[guard]})
    right = {"resource_version": made.metadata.resource_version, "uid": made.metadata.uid}
    await api.client.delete(CONFIG_MAPS, "a", namespace=api.namespace, **{guard: right[guard]})
    with pytest.raises(errors.NotFoundError):
        await api.client.get(CONFIG_MAPS, "a", namespace=api.namespace)


async def test_a_finalizer_keeps_an_object_until_it_is_gone(api: Api) -> None:
    body = {"metadata": {"name": "a", "finalizers": ["innkeeper.dev/test"]}}
    await api.client.create(CONFIG_MAPS, body, namespace=api.namespace)
    await api.client.delete(CONFIG_MAPS, "a", namespace=api.namespace)
    marked = await api.client.get(CONFIG_MAPS, "a", namespace=api.namespace)
    assert marked.metadata.deletion_timestamp is not None
    more = {"metadata": {"finalizers": ["innkeeper.dev/test", "innkeeper.dev/more"]}}
    with pytest.raises(errors.InvalidError):
        await api.client.patch(CONFIG_MAPS, "a", more, namespace=api.namespace)
    await api.client.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace=api.namespace)
    with pytest.raises(errors.NotFoundError):
        await api.client.get(CONFIG_MAPS, "a", namespace=api.namespace)


async def test_spec_and_status_are_written_apart(api: Api) -> None:
    made = await api.client.create(IMAGES, image() | {"status": {"size": "1"}}, namespace=api.namespace)
    assert made.status.size is None
    assert made.status.observed_generation == -1
    assert made.metadata.generation == 1

    both: dict[str, Any] = {"spec": {"shared": True}, "status": {"size": "7"}}
    by_status = await api.client.patch(IMAGES, "debian", both, namespace=api.namespace, subresource="status")
    assert (by_status.spec.shared, by_status.status.size) == (False, "7")
    assert by_status.metadata.generation == 1

    by_spec = await api.client.patch(
        IMAGES, "debian", {"spec": {"shared": True}, "status": {"size": "8"}}, namespace=api.namespace
    )
    assert (by_spec.spec.shared, by_spec.status.size) == (True, "7")
    assert by_spec.metadata.generation == 2


async def test_labels_make_no_generation_and_a_deletion_does(api: Api) -> None:
    await api.client.create(IMAGES, image(finalizers=["innkeeper.dev/test"]), namespace=api.namespace)
    labelled = await api.client.patch(
        IMAGES, "debian", {"metadata": {"labels": {"a": "b"}}}, namespace=api.namespace
    )
    assert labelled.metadata.generation == 1
    await api.client.delete(IMAGES, "debian", namespace=api.namespace)
    assert (await api.client.get(IMAGES, "debian", namespace=api.namespace)).metadata.generation == 2
    await api.client.patch(IMAGES, "debian", {"metadata": {"finalizers": None}}, namespace=api.namespace)


async def test_unknown_fields_are_dropped_and_defaults_set(api: Api) -> None:
    body = image()
    body["spec"]["colour"] = "blue"
    made = await api.client.create(IMAGES, body, namespace=api.namespace)
    assert made.spec.shared is False
    assert made.spec.digest == DIGEST


async def test_a_list_is_read_page_by_page(api: Api) -> None:
    await config_maps(api, 7, part="a")
    listing = await api.client.list(CONFIG_MAPS, namespace=api.namespace, label_selector="part=a", limit=3)
    assert [each.metadata.name for each in listing.items] == [f"c{number:03}" for number in range(7)]
    assert int(listing.resource_version) >= max(int(each.metadata.resource_version) for each in listing.items)


async def test_an_empty_list_has_a_version(api: Api) -> None:
    listing = await api.client.list(SECRETS, namespace=api.namespace)
    assert listing.items == []
    assert int(listing.resource_version) > 0


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("tier=web", ["a"]),
        ("tier!=web", ["b", "c"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c"]),
        ("tier in (web, db)", ["a", "b"]),
        ("tier,tier notin (db)", ["a"]),
    ],
)
async def test_label_selectors(api: Api, selector: str, wanted: list[str]) -> None:
    for name, labels in {"a": {"tier": "web"}, "b": {"tier": "db"}, "c": {"kind": "none"}}.items():
        await api.client.create(
            SECRETS, {"metadata": {"name": name, "labels": labels}}, namespace=api.namespace
        )
    listing = await api.client.list(SECRETS, namespace=api.namespace, label_selector=selector)
    assert [each.metadata.name for each in listing.items] == wanted


async def test_a_watch_tells_what_changes_after_a_version(api: Api) -> None:
    await config_maps(api, 1)
    begin = await api.client.list(CONFIG_MAPS, namespace=api.namespace, label_selector="tier=web")
    metadata = {"labels": {"tier": "web"}}
    events: list[WatchEvent[ConfigMap]] = []

    async def watch() -> None:
        watch = api.client.watch(
            CONFIG_MAPS,
            namespace=api.namespace,
            resource_version=begin.resource_version,
            label_selector="tier=web",
        )
        async with watch as stream:
            while more := await stream.batch():
                events.extend(more)

    def found() -> list[WatchEvent[ConfigMap]]:
        return [event for event in events if event.type != "BOOKMARK"]

    watching = asyncio.create_task(watch())
    # An object enters the selection, changes inside it, and leaves it.
    await api.client.patch(CONFIG_MAPS, "c000", {"metadata": metadata}, namespace=api.namespace)
    await api.client.patch(CONFIG_MAPS, "c000", {"data": {"x": "1"}}, namespace=api.namespace)
    last = await api.client.patch(
        CONFIG_MAPS, "c000", {"metadata": {"labels": {"tier": None}}}, namespace=api.namespace
    )
    await eventually(lambda: len(found()) == 3)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert [event.type for event in found()] == ["ADDED", "MODIFIED", "DELETED"]
    assert found()[-1].resource_version == last.metadata.resource_version


async def test_a_watch_ends_when_its_time_is_over(api: Api) -> None:
    # The selection leaves out kube-root-ca.crt, which Kubernetes writes into a new namespace
    # some time later.
    begin = await api.client.list(CONFIG_MAPS, namespace=api.namespace, label_selector="tier=web")
    watch = api.client.watch(
        CONFIG_MAPS,
        namespace=api.namespace,
        resource_version=begin.resource_version,
        label_selector="tier=web",
        timeout_s=1,
    )
    async with asyncio.timeout(20), watch as stream:
        assert [event.object async for event in stream.each() if event.object is not None] == []


async def test_nothing_is_made_in_a_namespace_that_ends(api: Api) -> None:
    name = f"{api.namespace}-ends"
    await api.client.create(NAMESPACES, {"metadata": {"name": name}})
    body = {"metadata": {"name": "a", "finalizers": ["innkeeper.dev/test"]}}
    await api.client.create(CONFIG_MAPS, body, namespace=name)
    await api.client.delete(NAMESPACES, name)
    with pytest.raises(errors.NamespaceTerminatingError, match="being terminated"):
        await api.client.create(CONFIG_MAPS, {"metadata": {"name": "b"}}, namespace=name)

    async def marked() -> bool:
        kept = await api.client.get(CONFIG_MAPS, "a", namespace=name)
        return kept.metadata.deletion_timestamp is not None

    async def gone() -> bool:
        try:
            await api.client.get(NAMESPACES, name)
        except errors.NotFoundError:
            return True
        return False

    await eventually(marked, deadline_s=30)
    await api.client.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace=name)
    await eventually(gone, deadline_s=30)


async def test_a_token_is_asked_for_and_reviewed(api: Api) -> None:
    await api.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "agent"}}, namespace=api.namespace)
    path = SERVICE_ACCOUNTS.path(namespace=api.namespace, name="agent", subresource="token")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await api.client.post(path, request))["status"]["token"]
    for candidate, good in ((token, True), ("forged", False)):
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": candidate},
        }
        status = (await api.client.post(TOKEN_REVIEWS_PATH, review))["status"]
        assert bool(status.get("authenticated")) is good
        if good:
            assert status["user"]["username"] == f"system:serviceaccount:{api.namespace}:agent"
