"""Orders that others put into Assignments: they move no host, and the operator puts its own back."""

import json

import msgspec

from innkeeper.domain.orders import Signer, peek
from innkeeper.kube.resources import ASSIGNMENTS, IP_ADDRESSES
from tests.kit.guest_scene import SIGNER, GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled


def put(scene: GuestScene, order: str, **spec: object) -> None:
    """Write an order past the admission policies, as somebody with all rights but without the key."""
    change = {"spec": {"order": order, **spec}}
    scene.api.patch(ASSIGNMENTS, guest_id(), change, namespace="host-a")
    scene.hosts["a"].look()


async def running(scene: GuestScene) -> str:
    scene.add_guest()
    await scene.until_ready()
    return scene.assignments()[0].spec.order


async def test_a_forged_order_to_destroy_moves_nothing(scene: GuestScene) -> None:
    genuine = await running(scene)
    forger = Signer(b"\x66" * 32)
    order = msgspec.structs.replace(peek(genuine), desired="Destroyed", serial=99)
    put(scene, forger.sign(order), desired="Destroyed", serial=99)
    assert scene.hosts["a"].destroyed == []
    await eventually(lambda: [each.spec.desired for each in scene.assignments()] == ["Running"])
    await settled(lambda: len(scene.api.writes()))
    assert scene.hosts["a"].destroyed == []
    await scene.until_ready()


async def test_a_changed_payload_moves_nothing(scene: GuestScene) -> None:
    genuine = await running(scene)
    envelope = json.loads(genuine)
    payload = json.loads(envelope["payload"])
    payload |= {"desired": "Destroyed", "serial": 2}
    put(scene, json.dumps({**envelope, "payload": json.dumps(payload)}), desired="Destroyed", serial=2)
    assert scene.hosts["a"].destroyed == []
    await eventually(lambda: [each.spec.desired for each in scene.assignments()] == ["Running"])
    await scene.until_ready()


async def test_a_replayed_order_moves_nothing(scene: GuestScene) -> None:
    old = await running(scene)
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    put(scene, old, desired="Running", serial=1)
    assert scene.hosts["a"].running[guest_id()].desired == "Stopped"
    await eventually(lambda: [each.spec.serial for each in scene.assignments()] == [3])
    await scene.until_ready(reason="Stopped")


async def test_an_order_that_cannot_be_read_is_replaced(scene: GuestScene) -> None:
    await running(scene)
    put(scene, "not an order")
    await settled(lambda: len(scene.api.writes()))
    await scene.until_ready()
    assert scene.hosts["a"].destroyed == []


async def test_after_a_restore_the_operator_signs_above_what_the_host_holds(scene: GuestScene) -> None:
    """The API server forgot the last changes; the host did not."""
    await running(scene)
    ahead = msgspec.structs.replace(peek(scene.assignments()[0].spec.order), serial=7)
    host = scene.hosts["a"]
    host._keep(ahead, SIGNER.sign(ahead), host.records[guest_id()].outcome)
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    assert scene.assignments()[0].spec.serial == 8
    assert host.running[guest_id()].desired == "Stopped"


async def test_no_order_is_signed_for_an_address_that_another_guest_holds(scene: GuestScene) -> None:
    await running(scene)
    [held] = scene.addresses()
    owner = {"id": guest_id(2), "namespace": "default", "name": "other", "interface": "eth0"}
    scene.api.patch(IP_ADDRESSES, held.metadata.name, {"spec": {"owner": owner}})
    await settled(lambda: len(scene.api.calls))
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await settled(lambda: len(scene.api.calls))
    assert [each.spec.serial for each in scene.assignments()] == [1]
    ready = scene.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.observed_generation) == ("True", 1), "the guest runs on, unchanged"
    stalled = scene.condition("Stalled")
    assert stalled is not None
    assert "no order is signed" in stalled.message
