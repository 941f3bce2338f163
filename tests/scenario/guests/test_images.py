"""Guests that wait for an image: told once that it is read, and built as soon as it was."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from innkeeper.kube.resources import IMAGES
from tests.kit import objects
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE
from tests.kit.waiting import settled

NAMES = ("one", "two", "three")
PREPARING = objects.ready("False", "Preparing")


@pytest.fixture
async def looked(scene: GuestScene) -> list[str]:
    """Have guests wait for the image `new`, which is being read; return who is looked at from now on."""
    scene.api.create(IMAGES, objects.image("new", condition=PREPARING), namespace=NAMESPACE)
    for number, name in enumerate(NAMES, start=1):
        scene.add_guest(name, number=number, spec={"image": {"name": "new"}})
        told = await scene.until_reason("ImageNotReady", name)
        assert "default/new is being read" in told.message
    await settled(lambda: len(scene.api.calls), for_s=1)
    subset, names = scene.operators[0].subset, list[str]()
    look = subset.on_guest

    def note(key: tuple[str, str]) -> None:
        names.append(key[1])
        look(key)

    subset.on_guest = note
    return names


def progresses(scene: GuestScene, progress: str) -> None:
    scene.patch_status(IMAGES, "new", {"progress": progress}, namespace=NAMESPACE)


async def test_how_far_an_image_is_read_is_told_to_no_guest(scene: GuestScene, looked: list[str]) -> None:
    before = [scene.guest(name) for name in NAMES]
    for percent in (1, 37, 99):
        progresses(scene, f"{percent}%")
        await scene.seen()
    await settled(lambda: len(scene.api.calls), for_s=1)
    assert looked == []
    assert [scene.guest(name) for name in NAMES] == before, "there may be thousands of them"
    scene.patch_status(
        IMAGES, "new", {"conditions": [objects.ready()], "progress": None}, namespace=NAMESPACE
    )
    for name in NAMES:
        await scene.until_ready(name)


def fails(scene: GuestScene) -> None:
    failed = {"conditions": [objects.ready("False", "DigestMismatch", "other bytes")], "progress": None}
    scene.patch_status(IMAGES, "new", failed, namespace=NAMESPACE)


def is_replaced(scene: GuestScene, **image: Any) -> None:
    scene.api.delete(IMAGES, "new", namespace=NAMESPACE)
    scene.api.create(IMAGES, objects.image("new", **image), namespace=NAMESPACE)


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (fails, "ImageFailed"),
        (lambda scene: scene.api.delete(IMAGES, "new", namespace=NAMESPACE), "ImageNotFound"),
        (partial(is_replaced, virtual_size="20Gi"), "ImageLargerThanDisk"),
    ],
    ids=["it fails", "it goes", "another one comes"],
)
async def test_what_else_becomes_of_the_image_is_told_to_all(
    scene: GuestScene, looked: list[str], happens: Callable[[GuestScene], object], reason: str
) -> None:
    progresses(scene, "37%")
    happens(scene)
    for name in NAMES:
        await scene.until_reason(reason, name)
    assert set(looked) == set(NAMES)
