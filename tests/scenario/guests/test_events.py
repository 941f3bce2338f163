"""Events of a Guest: its trouble and the ends of its operations, each once, and none for a build that goes well."""

from typing import Any

import pytest

from innkeeper.kube import events
from innkeeper.kube.resources import EVENTS
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE
from tests.kit.waiting import eventually, settled


def told(scene: GuestScene) -> list[tuple[str, str]]:
    """Return type and reason of each Event, by reason."""
    found: list[dict[str, Any]] = scene.api.objects(EVENTS, namespace=NAMESPACE)
    return sorted((each["type"], each["reason"]) for each in found)


async def test_a_build_that_goes_well_costs_no_event(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    await settled(scene.api.writes)
    assert told(scene) == []


async def test_the_end_of_an_operation_is_an_event_of_its_guest(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.operate("Reboot")
    await eventually(lambda: told(scene) == [("Normal", "RebootSucceeded")])
    [event] = scene.api.objects(EVENTS, namespace=NAMESPACE)
    guest = scene.guest()
    assert guest is not None
    about = event["involvedObject"]
    assert (about["kind"], about["name"], about["uid"]) == ("Guest", "web", guest.metadata.uid)
    assert event["message"] == "GuestOperation op"
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    scene.operate("Pause", "late")
    await eventually(lambda: ("Warning", "PauseFailed") in told(scene))


async def test_a_host_that_falls_silent_again_raises_a_count(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    for count in (1, 2):
        scene.hear_host("a", heard=False)
        await scene.until_reason("HostUnreachable")
        await eventually(
            lambda count=count: (
                [each["count"] for each in scene.api.objects(EVENTS, namespace=NAMESPACE)] == [count]
            )
        )
        scene.hear_host("a", heard=True)
        await scene.until_ready()
    assert told(scene) == [("Warning", "HostUnreachable")]


@pytest.mark.parametrize("reason", ["InsufficientCapacity", "AddressInUse"])
async def test_a_refusal_is_told_with_what_the_host_said(scene: GuestScene, reason: str) -> None:
    scene.add_host("b", store_id="store-b", memory="2Gi")  # `a` has more room and is asked first
    host = scene.hosts["a"]
    host.refuses, host.says = reason, "this is why"

    def once(call: Call, moment: str) -> None:
        if moment == "after" and call.matches("create assignments *"):
            host.refuses = None

    scene.on_write = once
    scene.add_guest()
    await scene.until_ready()
    await eventually(lambda: told(scene) == [("Warning", "Refused")])
    [event] = scene.api.objects(EVENTS, namespace=NAMESPACE)
    assert event["message"] == f"host a refused it: {reason}: this is why"


async def test_a_guest_with_much_trouble_is_cut_short(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    for _ in range(events.BURST + 3):
        scene.hear_host("a", heard=False)
        await scene.until_reason("HostUnreachable")
        scene.hear_host("a", heard=True)
        await scene.until_ready()
    await eventually(
        lambda: [each["count"] for each in scene.api.objects(EVENTS, namespace=NAMESPACE)] >= [events.BURST]
    )
    await settled(scene.api.writes)
    [event] = scene.api.objects(EVENTS, namespace=NAMESPACE)
    assert events.BURST <= event["count"] < events.BURST + 3
